"""Defects of every kind, planted into copies of real corpora whose audio is never touched."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

import speechxfer as sx
from speechxfer.audio import SAMPLE_RATE
from speechxfer.data.loading import read

Row = dict[str, Any]
#: By manifest, the lines that were given a defect of each kind.
Planted = dict[str, dict[str, list[int]]]


def rows_of(manifest: sx.Manifest) -> list[Row]:
    """Lines with absolute paths, which hold wherever the copy lies."""
    return [
        {"audio": str(one.path.absolute()), "text": one.text, "label": one.label, "speaker": one.speaker}
        | ({"duration": one.duration} if one.duration else {})
        for one in manifest
    ]


def write(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


class Planter:
    """Draws lines that have no defect yet, and writes changed audio to files of its own."""

    def __init__(self, manifest: sx.Manifest, folder: Path, prefix: str, count: int) -> None:
        self.manifest, self.rows = manifest, rows_of(manifest)
        self.lines: dict[str, list[int]] = defaultdict(list)
        self._folder, self._prefix, self.count = folder, prefix, count
        self._free = np.random.default_rng(1).permutation(len(manifest)).tolist()

    def draw(self, kind: str, suits: Callable[[Row], bool] = lambda _row: True) -> Iterator[int]:
        chosen = list(itertools.islice((row for row in self._free if suits(self.rows[row])), self.count))
        self._free = [row for row in self._free if row not in set(chosen)]
        self.lines[kind] += [row + 1 for row in chosen]
        yield from chosen

    def sound(self, row: int) -> np.ndarray:
        return read(self.manifest[row])

    def put(self, row: int, samples: np.ndarray) -> Path:
        path = self._folder / f"{self._prefix}{row}.wav"
        soundfile.write(path, samples, SAMPLE_RATE, "PCM_16")
        self.rows[row] = {name: value for name, value in self.rows[row].items() if name != "duration"}
        self.rows[row]["audio"] = str(path)
        return path


def _clipped(sound: np.ndarray) -> np.ndarray:
    level = np.quantile(np.abs(sound), 0.98)
    return np.asarray(sound.clip(-level, level) / level * 0.9)


def _narrow(sound: np.ndarray) -> np.ndarray:
    return np.asarray(soxr.resample(soxr.resample(sound, SAMPLE_RATE, 8_000), 8_000, SAMPLE_RATE))


SOUNDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "silent": lambda sound: sound * 0.0005 / max(np.abs(sound).max(), 1e-6),
    "clipped": _clipped,
    "offset": lambda sound: sound * 0.5 + 0.1,
    "channel": lambda sound: np.stack([sound, np.zeros_like(sound)], axis=1),
    "narrow-band": _narrow,
    "too-long": lambda sound: np.tile(sound, int(31 * SAMPLE_RATE / len(sound)) + 1),
    "too-short": lambda sound: sound[: SAMPLE_RATE // 20],
}


def plant_sound(planter: Planter) -> None:
    for kind, change in SOUNDS.items():
        for row in planter.draw(kind):
            planter.put(row, change(planter.sound(row)))
    for row in planter.draw("missing"):
        planter.rows[row]["audio"] += ".gone"
    for row in planter.draw("unreadable"):
        planter.put(row, planter.sound(row)).write_bytes(b"this is no sound" * 100)
    for row in planter.draw("truncated"):
        path = planter.put(row, planter.sound(row))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for row in planter.draw("outside"):
        planter.rows[row] |= {"start": 0.2, "duration": 60.0}
    for row in planter.draw("line"):
        planter.rows[row]["duration"] = -1.0


def plant_texts(planter: Planter) -> None:
    rows = planter.rows
    for row in planter.draw("too-few-frames"):
        rows[row]["text"] = " ".join([rows[row]["text"]] * 30)
    half = planter.count // 2
    # Six times as much text, or a word for a sentence: half or double, slow and fast speakers reach by themselves.
    for number, row in enumerate(planter.draw("speech-rate", lambda row: len(row["text"]) >= 45)):
        text = rows[row]["text"]
        rows[row]["text"] = " ".join([text] * 6) if number < half else text.split()[0]
    for kind, text in (("no-text", None), ("empty-text", "…")):
        for row in planter.draw(kind):
            rows[row]["text"] = text
    for number, row in enumerate(planter.draw("unicode", lambda row: "E" in row["text"])):
        odd = ("E\u0301", "\u200bE", "E\ufeff", "\u00c3\u00a9")[number % 4]
        rows[row]["text"] = rows[row]["text"].replace("E", odd, 1)
    for row in planter.draw("mixed-scripts", lambda row: any(a in row["text"] for a in ("AN", "AT", "AR"))):
        rows[row]["text"] = rows[row]["text"].replace("A", "\u0410", 1) + " \u0410T"
    for kind, column in (("duplicate-audio", "audio"), ("duplicate-text", "text")):
        # The later line has the defect, so that it is the one copied to that comes after the one copied from.
        for row in planter.draw(kind, lambda row: bool(row["text"]) and row.get("duration", 0) > 0):
            rows.append(rows[row] | ({"text": f"{rows[row]['text']} again"} if column == "audio" else {}))
            if column == "text":
                rows[-1] |= {"audio": str(planter.put(row, planter.sound(row) * 0.9))}
                rows[row] = dict(rows[row])
                rows[row]["audio"] = str(planter.manifest[row].path.absolute())
        planter.lines[kind] = list(range(len(rows) - len(planter.lines[kind]) + 1, len(rows) + 1))


def plant_across(train: Planter, dev: Planter) -> None:
    for row in dev.draw("unknown-character"):
        dev.rows[row]["text"] += " Ж"
    sources = train.draw("audio-in-both")
    for row in dev.draw("-"):
        dev.rows[row] |= {"audio": train.rows[next(sources)]["audio"]}
        dev.rows[row].pop("duration", None)
    known = train.draw("-")
    for row in dev.draw("text-in-both"):
        dev.rows[row]["text"] = train.rows[next(known)]["text"]
    speakers = sorted({str(one.speaker) for one in train.manifest})
    for number, row in enumerate(dev.draw("speaker-in-both")):
        dev.rows[row]["speaker"] = speakers[number % len(speakers)]
    del dev.lines["-"], train.lines["-"]


def plant_speech(train: sx.Manifest, dev: sx.Manifest, folder: Path, count: int) -> Planted:
    """Two manifests in `folder` with `count` defects of every kind that needs texts."""
    one, two = Planter(train, folder, "train", count), Planter(dev, folder, "dev", count)
    plant_across(one, two)
    plant_sound(one)
    plant_texts(one)
    write(folder / "train.jsonl", one.rows)
    write(folder / "dev.jsonl", two.rows)
    return {"train.jsonl": dict(one.lines), "dev.jsonl": dict(two.lines)}


def plant_labels(train: sx.Manifest, dev: sx.Manifest, folder: Path, count: int) -> Planted:
    """Two manifests of classes with `count` labels missing and unknown, and one rare class."""
    one, two = Planter(train, folder, "train", count), Planter(dev, folder, "dev", count)
    for row in two.draw("no-label"):
        two.rows[row]["label"] = None
    for row in two.draw("unknown-label"):
        two.rows[row]["label"] = "unknown"
    rare = one.rows[0]["label"]
    kept = [row for row in one.rows if row["label"] != rare]
    write(folder / "train.jsonl", [one.rows[0], *kept])
    write(folder / "dev.jsonl", two.rows)
    return {"train.jsonl": {"imbalance": [1]}, "dev.jsonl": dict(two.lines)}
