"""A corpus of seconds, for scripts that try whether something works at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile


def corpus(folder: Path) -> Path:
    """A few utterances in which letters are tones."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", 12), ("dev", 3), ("test", 3)):
        lines = []
        for number in range(count):
            text = ["a b", "b a", "a a b"][number % 3]
            parts = [0.3 * np.sin(2 * np.pi * (300 if one == "a" else 900) * np.arange(4000) / 16000) if one != " " else np.zeros(2000) for one in text]  # fmt: skip  # noqa: E501
            soundfile.write(folder / f"{split}{number}.wav", np.concatenate(parts), 16_000)
            (folder / f"{split}{number}.txt").write_text(text)
            lines.append(json.dumps({"audio": f"{split}{number}.wav", "text": text, "speaker": f"{number}"}))
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder
