"""The notebook of the spoken digits runs from top to bottom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import speechxfer as sx
from tests.conftest import tone

pytest.importorskip("num2words")
prepare = pytest.importorskip("recipes.spoken_digits.prepare")

NOTEBOOK = Path("recipes/spoken_digits/digits.ipynb").resolve()


def code_cells() -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Code of the notebook; the current folder has a tiny corpus where it looks for the digits."""
    originals = tmp_path / "originals"
    originals.mkdir()
    generator = np.random.default_rng(0)
    for digit, text in ((0, "a"), (7, "c")):
        for speaker in ("ann", "bo"):
            for take in (0, 4, 5, 9, 10, 11, 12, 49):
                noise = 0.01 * generator.standard_normal(tone(text).size)
                soundfile.write(originals / f"{digit}_{speaker}_{take}.wav", tone(text) + noise, 16_000)
    (tmp_path / "recipes").mkdir()
    monkeypatch.chdir(tmp_path)
    prepare.prepare(originals, Path("data/spoken_digits"))
    return ["".join(cell["source"]) for cell in code_cells()]


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(cells: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for number, code in enumerate(cells):
        exec(compile(code.replace("EPOCHS = 8", "EPOCHS = 1"), f"<cell {number}>", "exec"), names)
    assert "0 of them stop a training" in capsys.readouterr().out
    assert {one.label for one in sx.Manifest.read(names["DATA"] / "test.jsonl")} == {"zero", "seven"}
    assert sx.load("runs/notebook/exported").classify("data/spoken_digits/audio/0_ann_0.wav").label in ("zero", "seven")


def test_the_notebook_is_committed_without_output() -> None:
    assert code_cells()
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code_cells())
