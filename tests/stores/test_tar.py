from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from speechxfer.sources import source_at
from speechxfer.stores import stored
from speechxfer.stores.tar import members
from tests.data.shards import write_tar

DATA = {"a.wav": b"first", "deep/er/b.wav": b"second" * 300, f"{'long' * 60}.wav": b"third"}


def test_members_are_read_where_they_are(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", DATA)
    assert [one.name for one in members(stored(path))] == list(DATA)
    for name, data in DATA.items():
        found = stored(f"{path}/{name}")
        assert found.read(0, found.size()) == data
        assert found.read(2, 4) == data[2:4]
    with pytest.raises(OSError, match="no such member"):
        stored(f"{path}/c.wav")


def test_a_shard_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {"a.wav": b"first"})
    assert stored(f"{path}/a.wav").size() == 5
    version = source_at(f"{path}/a.wav").version()
    write_tar(path, {"0.wav": b"before", "a.wav": b"longer than before"})
    assert stored(f"{path}/a.wav").size() == 18
    assert source_at(f"{path}/a.wav").version() != version


def test_of_members_with_one_name_the_last_counts(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", {"a.wav": b"first"})
    with tarfile.open(path, "a") as tar:
        header = tarfile.TarInfo("a.wav")
        header.size = 5
        tar.addfile(header, io.BytesIO(b"again"))
    assert stored(f"{path}/a.wav").read(0, 5) == b"again"


@pytest.mark.parametrize(("size", "why"), [(700, "cut short in a.wav"), (300, "no tar file"), (2500, "cut short in deep")])  # fmt: skip  # noqa: E501
def test_torn_shards(tmp_path: Path, size: int, why: str) -> None:
    path = write_tar(tmp_path / "x.tar", DATA | {"a.wav": b"first" * 60})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(OSError, match=why):
        list(members(stored(path)))


def test_a_damaged_header_in_the_middle_does_not_end_the_shard_quietly(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", DATA)
    data = bytearray(path.read_bytes())
    data[1024:1030] = b"\xff" * 6
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"damaged after a\.wav"):
        list(members(stored(path)))
    assert stored(f"{path}/a.wav").size() == 5
    with pytest.raises(OSError, match=r"damaged after a\.wav"):
        stored(f"{path}/deep/er/b.wav")
