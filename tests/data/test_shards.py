"""Manifests in several files, and with the recordings in them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from speechxfer import audio
from speechxfer.data.checks import Split, check
from speechxfer.data.checks.cleaning import check_outputs
from speechxfer.data.loading import read
from speechxfer.data.manifest import Manifest, stream
from speechxfer.errors import AudioError, ConfigError, DataError
from tests.data.shards import encoded, shard, write_tar


def test_a_shard_holds_recordings_texts_and_columns(tmp_path: Path) -> None:
    path = shard(tmp_path / "x-000.tar", {"call/1": "ab", "call/2": "ba"}, speaker="Anna", room="hall")
    first, second = Manifest.read(path)
    assert (first.audio, first.text, first.speaker) == ("x-000.tar/call/1.wav", "ab", "Anna")
    assert first.extra == {"room": "hall"}
    assert second.origin == f"{path}:2"
    expected = audio.load(encoded("ba"))
    np.testing.assert_array_equal(read(second), expected)
    part = audio.load(second.source, start=0.1, duration=0.2)
    np.testing.assert_array_equal(part, expected[1600:4800])
    assert pickle.loads(pickle.dumps(second)).source == second.source
    assert second.source.digest() == pickle.loads(pickle.dumps(second)).source.digest()


@pytest.mark.parametrize("name", ["x-*.tar", "x-{0..1}.tar", ""])
def test_patterns_ranges_and_folders_of_shards(tmp_path: Path, name: str) -> None:
    for number in range(2):
        shard(tmp_path / f"x-{number}.tar", {"same": "ab" * (number + 1)})
    manifest = Manifest.read(tmp_path / name)
    assert [one.audio for one in manifest] == ["x-0.tar/same.wav", "x-1.tar/same.wav"]
    assert len({one.id for one in manifest}) == 2
    assert [len(read(one)) for one in manifest] == [len(audio.load(encoded(text))) for text in ("ab", "abab")]


def test_manifests_in_several_folders(tmp_path: Path) -> None:
    for number in range(2):
        folder = tmp_path / f"part-{number}"
        folder.mkdir()
        (folder / "a.wav").write_bytes(encoded("ab"))
        (folder / "m.jsonl").write_text('\n{"audio": "a.wav", "text": "ab"}\n')
    manifest = Manifest.read(tmp_path / "part-*" / "m.jsonl")
    assert [one.audio for one in manifest] == ["part-0/a.wav", "part-1/a.wav"]
    assert [one.origin for one in manifest] == [f"{tmp_path}/part-{number}/m.jsonl:2" for number in range(2)]
    manifest.check_files()


def test_a_manifest_of_members_can_be_written_elsewhere(tmp_path: Path) -> None:
    shard(tmp_path / "shards/x.tar", {"1": "ab"})
    (tmp_path / "lists").mkdir()
    Manifest.read(tmp_path / "shards/x.tar").write(tmp_path / "lists/m.jsonl")
    assert json.loads((tmp_path / "lists/m.jsonl").read_text())["audio"] == "../shards/x.tar/1.wav"
    (one,) = Manifest.read(tmp_path / "lists/m.jsonl")
    assert len(read(one)) == len(audio.load(encoded("ab")))


def test_what_cannot_be_used_in_a_shard_is_named(tmp_path: Path) -> None:
    members = {"a.wav": encoded("ab"), "b.txt": b"alone", "c.wav": encoded("ab"), "c.json": b"[1]", "d.wav": b"", "d.txt": b"\xff"}  # fmt: skip  # noqa: E501
    path = write_tar(tmp_path / "x.tar", {**members, "b.wav": encoded("ab"), "e.wav": encoded("ab")})
    refused: list[DataError] = []
    assert [one.audio for one in stream(path, refused.append)] == ["x.tar/a.wav", "x.tar/e.wav"]
    seen = [str(error).removeprefix(f"{path}:") for error in refused]
    assert seen[0].startswith("2: b.txt is a text without its recording")
    assert seen[1].startswith("3: c.json is a JSON list")
    assert seen[2].startswith("4: d.txt cannot be read")
    assert seen[3].startswith("5: b.wav stands twice in the shard, or apart from its text")
    with pytest.raises(DataError, match=r"b\.txt is a text without"):
        Manifest.read(path)


def test_torn_shards_end_with_an_error(tmp_path: Path) -> None:
    path = shard(tmp_path / "x.tar", {"1": "ab", "2": "ba"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"2.wav") + 1000])
    with pytest.raises(DataError, match=r"x\.tar:2: a tar file that is cut short in 2\.wav"):
        Manifest.read(path)
    report = check([Split.from_file(path)], quick=True)
    assert [finding.kind for finding in report.errors] == ["line"]


def test_names_that_stand_for_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file matches"):
        Manifest.read(tmp_path / "x-*.tar")
    shard(tmp_path / "x-0.tar", {"1": "ab"})
    with pytest.raises(DataError, match=r"x-1\.tar: no such file"):
        Manifest.read(tmp_path / "x-{0..1}.tar")
    with pytest.raises(ConfigError, match="compression"):
        Manifest.read(tmp_path / "x.tar.gz")
    (tmp_path / "m.jsonl").write_text('{"audio": "x-0.tar/2.wav"}\n{"audio": "no.tar/2.wav"}\n')
    with pytest.raises(DataError, match=r"x-0\.tar/2\.wav: no such member .* no such file: .*no\.tar"):
        Manifest.read(tmp_path / "m.jsonl").check_files()
    with pytest.raises(AudioError, match="no such member"):
        audio.load(tmp_path / "x-0.tar/2.wav")


def test_findings_name_the_line_of_the_shard(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.wav").write_bytes(encoded("ab"))
        lines = [{"audio": f"{number}.wav", "text": "ab"}, {"audio": "missing.wav", "text": "ab"}]
        (tmp_path / f"m-{number}.jsonl").write_text("".join(map("{}\n".format, map(json.dumps, lines))))
    report = check([Split.from_file(tmp_path / "m-*.jsonl")], quick=True)
    missing = [finding.what for finding in report.findings if finding.kind == "missing"]
    assert [what.partition(": ")[0] for what in missing] == [f"{tmp_path}/m-0.jsonl:2", f"{tmp_path}/m-1.jsonl:2"]


@pytest.mark.parametrize("name", ["x-0.tar", "x-*.jsonl", "memory://nowhere/m.jsonl"])
def test_shards_are_not_cleaned(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="speechxfer manifest convert"):
        check_outputs([tmp_path / name if "://" not in name else Path(name)], overwrite=False)
