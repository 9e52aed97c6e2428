"""Corpora of tones to probe and plan on: texts of letters, or one class a tone."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from tests.conftest import tone


@pytest.fixture
def spoken(corpus: Callable[..., Path]) -> dict[str, Path]:
    """Manifests with texts: 24 utterances to learn from and 6 others."""

    def texts(count: int, seed: int) -> list[str]:
        chance = random.Random(seed)
        return ["".join(chance.choices("abc", k=chance.randint(1, 3))) + " a" for _ in range(count)]

    return {"train": corpus("train", texts(24, 1)), "dev": corpus("dev", texts(6, 2))}


@pytest.fixture
def classes(tmp_path: Path) -> Callable[..., Path]:
    """Writes a manifest with labels, each the tone of that name at a length that varies."""

    def write(name: str, labels: str, *, repeated: tuple[int, ...] = (1, 2)) -> Path:
        lines = []
        for number, (label, times) in enumerate((label, times) for label in labels for times in repeated):
            soundfile.write(tmp_path / f"{name}{number}.wav", tone(label * times), 16_000)
            lines.append(json.dumps({"audio": f"{name}{number}.wav", "label": label}))
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write
