"""Whole jobs in this process."""

import json
from pathlib import Path

import pytest

from speechxfer.jobs.running import Here, Totals, run
from tests.jobs.stand_ins import Echo, Lengths, write_manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "m.jsonl", 300, 5.0)


def found(folder: Path) -> list[dict]:
    return [json.loads(one) for path in sorted(folder.glob("part-*")) for one in path.read_text().splitlines()]


def test_all_rows_are_computed_once(manifest: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    totals = run(Echo(), [str(manifest)], tmp_path / "out", "jsonl", Here(), progress=lambda now: seen.append(now.rows))
    assert totals == Totals(rows=300, seconds=1500.0)
    assert seen == list(range(1, 301))
    assert [Path(row["text"]).name for row in found(tmp_path / "out")] == [f"{number}.wav" for number in range(300)]


def test_only_what_is_missing_is_computed(manifest: Path, tmp_path: Path) -> None:
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join(lines[10:20]))
    run(Echo(), [str(manifest)], tmp_path / "out", "jsonl", Here())
    manifest.write_text("".join([*lines, lines[3]]))
    totals = run(Echo(), [str(manifest)], tmp_path / "out", "jsonl", Here())
    assert (totals.rows, totals.before, totals.repeated) == (290, 10, 1)
    assert len({row["id"] for row in found(tmp_path / "out")}) == len(found(tmp_path / "out")) == 300


def test_nothing_is_opened_where_nothing_is_missing(manifest: Path, tmp_path: Path) -> None:
    run(Echo(), [str(manifest)], tmp_path / "out", "jsonl", Here())
    totals = run(Echo(problem="missing"), [str(manifest)], tmp_path / "out", "jsonl", Here())
    assert (totals.rows, totals.before) == (0, 300)


def test_a_bug_ends_the_job_and_what_is_done_is_kept(manifest: Path, tmp_path: Path) -> None:
    with manifest.open("a") as file:
        file.write('{"audio": "bug.wav"}\n')
    with pytest.raises(ZeroDivisionError):
        run(Echo(), [str(manifest)], tmp_path / "out", "jsonl", Here())
    assert len(found(tmp_path / "out")) == 300


def test_recordings_and_excerpts_are_read_and_one_that_cannot_be_is_a_row_with_its_error(
    corpus, tmp_path: Path
) -> None:
    path = corpus("train", ["ab", "abc"])
    whole = path.read_text()
    (path.parent / "torn.wav").write_bytes((path.parent / "train0.wav").read_bytes()[:30])
    more = [{"audio": "train0.wav", "start": 0.1, "duration": 0.2}, {"audio": "gone.wav"}, {"audio": "torn.wav"}]
    path.write_text(whole + "".join(json.dumps(row) + "\n" for row in more))
    totals = run(Lengths(), [str(path)], tmp_path / "out", "jsonl", Here())
    assert (totals.rows, totals.failed) == (5, 2)
    rows = found(tmp_path / "out")
    assert [row.get("text") for row in rows] == ["5600", "8000", "3200", None, None]
    assert rows[0]["reference"] == "ab"
    assert (rows[2]["start"], rows[2]["duration"]) == (0.1, 0.2)
    assert "gone.wav" in rows[3]["error"]


def test_what_failed_is_computed_again_on_request(corpus, tmp_path: Path) -> None:
    path = corpus("train", ["ab", "abc", "a"])
    sound = (path.parent / "train1.wav").read_bytes()
    (path.parent / "train1.wav").unlink()
    assert run(Lengths(), [str(path)], tmp_path / "out", "jsonl", Here()).failed == 1
    (path.parent / "train1.wav").write_bytes(sound)
    again = run(Lengths(), [str(path)], tmp_path / "out", "jsonl", Here())
    assert (again.rows, again.before) == (0, 3)
    retried = run(Lengths(), [str(path)], tmp_path / "out", "jsonl", Here(), retry_failed=True)
    assert (retried.rows, retried.failed, retried.before) == (1, 0, 2)
    run(Lengths(), [str(path)], tmp_path / "whole", "jsonl", Here())
    assert sorted(map(str, found(tmp_path / "out"))) == sorted(map(str, found(tmp_path / "whole")))
