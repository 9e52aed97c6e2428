"""Parquet files: manifests, and recordings in their cells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speechxfer import audio
from speechxfer.data.checks import Split, check
from speechxfer.data.loading import read
from speechxfer.data.manifest import Manifest
from speechxfer.errors import AudioError, DataError
from speechxfer.stores import stored
from tests.data.shards import encoded

TEXTS = ["ab", "ba", "abc", "cab", "bca"]


def cells(texts: Sequence[str | None]) -> list[dict[str, Any] | None]:
    return [None if text is None else {"bytes": encoded(text), "path": f"{text}.wav"} for text in texts]


def written(path: Path, /, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def test_recordings_in_cells(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", path=TEXTS, audio=cells(TEXTS), sentence=TEXTS, client_id=list("abcde"))
    manifest = Manifest.read(path)
    assert [one.text for one in manifest] == TEXTS
    assert [one.audio for one in manifest] == [f"x.parquet/audio/{number}" for number in range(5)]
    assert (manifest[1].speaker, manifest[1].origin) == ("b", f"{path}:2")
    for number in (3, 0, 4):
        np.testing.assert_array_equal(read(manifest[number]), audio.load(encoded(TEXTS[number])))
    part = audio.load(f"{path}/audio/2", start=0.1, duration=0.1)
    np.testing.assert_array_equal(part, audio.load(encoded("abc"))[1600:3200])
    assert not check([Split.from_file(path)], quick=True).errors


def test_bytes_without_a_name_and_a_manifest_without_bytes(tmp_path: Path) -> None:
    (one, *_) = Manifest.read(written(tmp_path / "x.parquet", sound=[encoded("ab")] * 3, n=[0.5, None, float("nan")]))
    assert one.extra == {"n": 0.5}
    assert len(read(one)) == len(audio.load(encoded("ab")))
    (tmp_path / "a.wav").write_bytes(encoded("ab"))
    path = written(tmp_path / "m.parquet", audio=["a.wav"], text=["ab"], duration=[0.2], vector=[b"\x00"])
    (one,) = Manifest.read(path)
    assert (one.audio, one.duration, len(read(one))) == ("a.wav", 0.2, 3200)


def test_a_cell_that_names_a_file_beside_the_table(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(encoded("ab"))
    path = written(tmp_path / "x.parquet", audio=[{"bytes": encoded("ab"), "path": "a.wav"}, {"bytes": None, "path": "a.wav"}])  # fmt: skip  # noqa: E501
    first, second = Manifest.read(path)
    np.testing.assert_array_equal(read(first), read(second))


def test_classes_have_names(tmp_path: Path) -> None:
    about = {"info": {"features": {"label": {"names": ["yes", "no"], "_type": "ClassLabel"}}}}
    made = pa.table({"audio": cells(["ab", "ba", "ab"]), "label": [1, 0, -1]})
    pq.write_table(made.replace_schema_metadata({"huggingface": json.dumps(about)}), tmp_path / "x.parquet")
    assert [one.label for one in Manifest.read(tmp_path / "x.parquet")] == ["no", "yes", None]


def test_shards_and_urls(tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    for number in range(2):
        path = written(tmp_path / f"x-{number}.parquet", audio=cells(TEXTS), text=TEXTS)
        store.pipe(f"/tables/{path.name}", path.read_bytes())
    assert len(Manifest.read(tmp_path)) == len(Manifest.read(tmp_path / "x-*.parquet")) == 10
    manifest = Manifest.read("memory://tables/x-*.parquet")
    np.testing.assert_array_equal(read(manifest[8]), audio.load(encoded("cab")))
    store.rm("/tables", recursive=True)


def test_what_cannot_be_used(tmp_path: Path) -> None:
    path = written(tmp_path / "x.parquet", audio=cells(["ab", None]), text=["ab", "ba"])
    with pytest.raises(AudioError, match=r"x\.parquet:2: .*x\.parquet/audio/1: the cell is empty \(null\)"):
        read(Manifest.read(path)[1])
    (finding,) = check([Split.from_file(path)], quick=True).errors
    assert (finding.line, "null" in finding.what) == (2, True)
    with pytest.raises(OSError, match=r"no such cell: .* has 2 rows of audio, text"):
        stored(f"{path}/audio/2")
    with pytest.raises(OSError, match="such as audio/17"):
        stored(f"{path}/audio")
    with pytest.raises(DataError, match="a and b hold recordings"):
        Manifest.read(written(tmp_path / "two.parquet", a=[b"x"], b=[b"y"]))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"x\.parquet: no Parquet file, or damaged"):
        Manifest.read(path)
    with pytest.raises(DataError, match=r"y\.parquet: no such file; wanted a Parquet file"):
        Manifest.read(tmp_path / "y.parquet")
