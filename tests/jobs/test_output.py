"""The folder of a job."""

import errno
import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from speechxfer.errors import ConfigError, DataError, StorageError
from speechxfer.jobs import output, shards
from speechxfer.jobs.output import Done, opened
from speechxfer.jobs.shards import line

JOB = {"model": "m", "decoding": {"beams": 4}}
SEGMENT = {"start": 0.0, "end": 1.0, "text": "è", "confidence": None, "words": [{"start": 0.0, "end": 1.0, "text": "è", "confidence": 0.5}]}  # fmt: skip  # noqa: E501


def done(*names: str, **values: Any) -> Done:
    return Done(b"".join(line({"id": name, "audio": name, **values}) for name in names), len(names), 0, 0.0)


@pytest.mark.parametrize("format_", shards.FORMATS)
def test_what_is_written_is_known_the_next_time(tmp_path: Path, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    folder = tmp_path / "new" / "out"
    with opened(folder, format_, JOB) as first:
        first.add(done('a"\\', "b", text="è", segments=[SEGMENT], duration=1.0))
    with opened(folder, format_, JOB) as second:
        assert 'a"\\' in second.done
        assert len(second.done) == 2
        second.add(done("c", error="torn"))
    assert sorted(path.name for path in folder.iterdir()) == ["job.json", f"part-000000.{format_}", f"part-000001.{format_}"]  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("format_", shards.FORMATS)
def test_failed_rows_are_removed_and_shards_stay_whole(tmp_path: Path, format_: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    folder = tmp_path / "out"
    for rows in ((done("a", text="è", segments=[SEGMENT]), done("b", error="torn")), (done("c", error="torn"),)):
        with opened(folder, format_, JOB) as first:
            list(map(first.add, rows))
    with opened(folder, format_, JOB, retry_failed=True) as second:
        assert ["a" in second.done, len(second.done)] == [True, 1]
        second.add(done("b", "c", text="ok"))
    paths = shards.found(folder)
    assert [path.name for path in paths] == [f"part-000000.{format_}", f"part-000001.{format_}"]
    found = [row for path in paths for row in shards.rows(path)]
    assert [(row["id"], row.get("error"), row["text"]) for row in found] == [("a", None, "è"), ("b", None, "ok"), ("c", None, "ok")]  # fmt: skip  # noqa: E501
    assert found[0]["segments"] == [SEGMENT]


def test_a_shard_that_cannot_be_written_again_is_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    with opened(folder, "jsonl", JOB) as first:
        list(map(first.add, [done("a", text="a"), done("b", error="torn")]))
    before = (folder / "part-000000.jsonl").read_bytes()
    monkeypatch.setattr(Path, "replace", _no_space)
    with pytest.raises(StorageError, match="No space left"), opened(folder, "jsonl", JOB, retry_failed=True):
        pass
    assert (folder / "part-000000.jsonl").read_bytes() == before


def _no_space(path: Path, *_args: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


def test_a_parquet_shard_has_all_columns(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    with opened(tmp_path / "out", "parquet", JOB) as folder:
        folder.add(done("a", text="è", segments=[SEGMENT]))
        folder.add(done("b", error="torn"))
    found = parquet.read_table(tmp_path / "out" / "part-000000.parquet").to_pylist()
    assert found[0]["segments"] == [SEGMENT]
    assert [row["error"] for row in found] == [None, "torn"]
    assert {"start", "audio_channel", "reference"} <= set(found[0])


def test_shards_are_closed_by_rows_and_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_SHARD_ROWS", 2)
    with opened(tmp_path / "out", "jsonl", JOB) as folder:
        for name in "abc":
            folder.add(done(name))
        assert [path.name for path in sorted((tmp_path / "out").glob("part-*"))] == ["part-000000.jsonl"]
        monkeypatch.setattr(output, "_SHARD_S", 0.0)
        folder.add(done("d"))
        assert len(list((tmp_path / "out").glob("part-*"))) == 2
    assert len(list((tmp_path / "out").glob("part-*"))) == 2  # nothing was left


def test_what_is_done_is_kept_where_the_job_fails(tmp_path: Path) -> None:
    with pytest.raises(AttributeError), opened(tmp_path / "out", "jsonl", JOB) as folder:
        list(map(folder.add, [done("a"), None]))
    with opened(tmp_path / "out", "jsonl", JOB) as folder:
        assert "a" in folder.done


def test_the_folder_of_another_job_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "out", "jsonl", JOB):
        pass
    with pytest.raises(ConfigError, match="another job, whose model is 'm', and here it is 'n'"):  # noqa: SIM117
        with opened(tmp_path / "out", "jsonl", {**JOB, "model": "n"}):
            pass
    with pytest.raises(ConfigError, match="format is 'jsonl'"), opened(tmp_path / "out", "parquet", JOB):
        pass


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"holds 'thesis\.tex', but no job\.json"), opened(tmp_path, "jsonl", JOB):
        pass


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "out", "jsonl", JOB):
        process = multiprocessing.get_context("spawn").Process(target=_open_again, args=(tmp_path,))
        process.start()
        process.join()
    assert (tmp_path / "refused").read_text().count("another process is writing there") == 1


def _open_again(base: Path) -> None:
    try:
        with opened(base / "out", "jsonl", JOB):
            pass
    except StorageError as error:
        (base / "refused").write_text(str(error))


def test_what_a_killed_driver_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with opened(folder, "jsonl", JOB):
        pass
    (folder / ".lock").write_text("process 1 on nowhere\n")
    (folder / ".part-000000.jsonl.abcdefgh.tmp").write_text('{"id": "a", "te')
    with opened(folder, "jsonl", JOB) as again:
        assert not len(again.done)
    assert [path.name for path in folder.iterdir()] == ["job.json"]


@pytest.mark.parametrize("content", ['{"id": "a", "text": "', '{"text": "a"}\n', "\n", '{"id": a}\n'])
def test_a_torn_shard_is_named(tmp_path: Path, content: str) -> None:
    with opened(tmp_path / "out", "jsonl", JOB):
        pass
    (tmp_path / "out" / "part-000000.jsonl").write_text(content)
    for retry in (True, False):
        with (
            pytest.raises(DataError, match=r"part-000000\.jsonl: is damaged"),
            opened(tmp_path / "out", "jsonl", JOB, retry_failed=retry),
        ):
            pass


def test_a_row_in_two_shards_is_named(tmp_path: Path) -> None:
    with opened(tmp_path / "out", "jsonl", JOB) as folder:
        folder.add(done("a"))
    (tmp_path / "out" / "part-000001.jsonl").write_text(json.dumps({"id": "a"}) + "\n")
    with pytest.raises(DataError, match="'a' a second time"), opened(tmp_path / "out", "jsonl", JOB):
        pass
