"""Recordings in tar shards and behind URLs as inputs of `transcribe`."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speechxfer import audio
from speechxfer.errors import ConfigError, DataError
from speechxfer.inference.inputs import expand, output_paths
from tests.data.shards import encoded, shard


def test_shards_are_the_recordings_in_them(tmp_path: Path) -> None:
    for number in range(2):
        shard(tmp_path / f"x-{number}.tar", {"same": "ab"})
    found = expand([str(tmp_path / "x-*.tar")]).recordings
    assert [item.name for item in found] == [f"{tmp_path}/x-{number}.tar/same.wav" for number in range(2)]
    assert len(audio.load(found[1].source())) == len(audio.load(encoded("ab")))
    outputs = output_paths(found, tmp_path / "out", "txt")
    assert outputs == [tmp_path / f"out/x-{number}.tar/same.txt" for number in range(2)]


def test_cells_of_parquet_files(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"audio": [{"bytes": encoded("ab"), "path": "a.wav"}] * 2}), path)
    found = expand([str(path)]).recordings
    assert [str(item.place) for item in found] == ["x.parquet/audio/0", "x.parquet/audio/1"]
    assert len(audio.load(found[1].source())) == len(audio.load(encoded("ab")))
    pq.write_table(pa.table({"audio": ["a.wav"]}), path)
    with pytest.raises(DataError, match=r"x\.parquet: holds no recordings"):
        expand([str(path)])


def test_torn_shards(tmp_path: Path) -> None:
    path = shard(tmp_path / "x.tar", {"1": "ab"})
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"x\.tar: .* cut short in 1\.wav"):
        expand([str(path)])


def test_urls(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    store.pipe("/inputs/a/1.wav", encoded("ab"))
    store.pipe("/inputs/x.tar", shard(tmp_path / "x.tar", {"2": "ba"}).read_bytes())
    found = expand(["memory://inputs/*/1.wav", "memory://inputs/x.tar"]).recordings
    assert [item.name for item in found] == ["memory://inputs/a/1.wav", "memory://inputs/x.tar/2.wav"]
    assert [str(item.place) for item in found] == ["a/1.wav", "x.tar/2.wav"]
    assert all(len(audio.load(item.source())) for item in found)
    with pytest.raises(ConfigError, match="no file matches"):
        expand(["memory://inputs/*.flac"])
    store.rm("/inputs", recursive=True)
