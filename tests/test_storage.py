from __future__ import annotations

import errno
from pathlib import Path

import pytest

from speechxfer.errors import StorageError
from speechxfer.storage import replacing, replacing_folder, write_json, write_text


def test_a_file_appears_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"è": 1})
    assert (tmp_path / "new" / "a.json").read_text() == '{\n  "è": 1\n}\n'
    assert [item.name for item in (tmp_path / "new").iterdir()] == ["a.json"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fill() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match=r"a\.txt: could not be written \(No space left on device\)"):
        fill()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_folder_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path, error: BaseException) -> None:
    folder = tmp_path / "model"
    for content in ("first", "second"):
        with replacing_folder(folder) as temporary:
            (temporary / "weights").write_text(content)
    assert (folder / "weights").read_text() == "second"

    def fail() -> None:
        with replacing_folder(folder) as temporary:
            (temporary / "weights").write_text("third")
            raise error

    with pytest.raises((StorageError, KeyboardInterrupt)):
        fail()
    assert (folder / "weights").read_text() == "second"
    assert [item.name for item in tmp_path.iterdir()] == ["model"]
