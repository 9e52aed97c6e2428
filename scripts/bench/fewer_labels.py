"""What recordings without labels are worth: self-training, and choosing which of them to label next.

    python -m scripts.bench.fewer_labels self-training FOLDER --labeled 8m --set language_model=auto
    python -m scripts.bench.fewer_labels suggest FOLDER --labeled 25s --more 15s --more 30s --head classification

FOLDER holds train.jsonl, dev.jsonl and test.jsonl. A random part of train keeps its labels, and the rest is used
without. All runs take the same number of steps. `self-training` measures on test: labels alone (the teacher), what the
run chose (teacher or student), and all labels. `suggest` labels more of the rest, chosen by `speechxfer suggest` with
the model of the first labels, or at random, and measures the models of both.
"""

from __future__ import annotations

import json
import random
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import speechxfer as sx
from scripts.bench.frame_stride import RESULTS
from scripts.bench.machine import command, describe
from speechxfer.config import merge, parse_assignment
from speechxfer.config.durations import seconds
from speechxfer.runs import RunFolder
from speechxfer.storage import write_json


class Corpus:
    """A corpus of which a part has labels."""

    def __init__(self, folder: Path, labeled_s: float, seed: int) -> None:
        self.splits = {
            name: sx.Dataset.of(folder / f"{name}.jsonl").with_durations() for name in ("train", "dev", "test")
        }
        order = list(self.splits["train"])
        random.Random(seed).shuffle(order)
        count = _count(order, labeled_s)
        self.labeled, self.rest = order[:count], order[count:]

    @property
    def unlabeled(self) -> list[sx.Utterance]:
        """The rest without its labels."""
        return [replace(one, text=None, label=None) for one in self.rest]


def _count(utterances: Sequence[sx.Utterance], most_s: float) -> int:
    """How many of the first ones are so long."""
    total = 0.0
    for count, one in enumerate(utterances):
        total += one.duration or 0.0
        if total > most_s:
            return count
    return len(utterances)


def _error(model: sx.SpeechModel, test: sx.Manifest) -> float:
    """WER, or the fraction of wrong classes."""
    summary = sx.evaluate(model, test).scores.summary
    return round(summary.get("wer", summary.get("error", 0.0)), 4)


def _trained(
    corpus: Corpus, work: Path, settings: dict[str, Any], train: Sequence[sx.Utterance], **more: Any
) -> sx.Run:
    place = {
        "output": str(work / f"run{len(list(work.iterdir()))}"),
        "training": {"cache_dir": str(work.parent / "cache")},
    }
    return sx.finetune(config=merge([settings, place]), train=list(train), dev=corpus.splits["dev"], **more)


def _self_training(corpus: Corpus, work: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Errors on test with the labels alone, with predictions added, and with all labels."""
    run = _trained(corpus, work, settings, corpus.labeled, unlabeled=corpus.unlabeled)
    folder, test = RunFolder(run.folder), corpus.splits["test"]
    found = folder.self_training
    assert found is not None
    teacher = _error(sx.SpeechModel.load(str(folder.teacher.model)), test)
    every = _error(_trained(corpus, work, settings, corpus.splits["train"]).model, test)
    chosen = _error(run.model, test)
    return {
        "labels alone": teacher, "chosen": chosen, "all labels": every, "student is chosen": found.helps,
        "dev": {"teacher": found.teacher, "student": found.student}, "recordings": found.recordings,
        "used": found.kept, "left out": dict(found.left_out),
        "gap closed": round((teacher - chosen) / (teacher - every), 3) if teacher != every else None,
    }  # fmt: skip


def _suggest(
    corpus: Corpus, work: Path, settings: dict[str, Any], more_s: Sequence[float], seed: int
) -> dict[str, Any]:
    """Errors on test with more labels, by how they were chosen and how much they are."""
    first = _trained(corpus, work, settings, corpus.labeled).model
    test = corpus.splits["test"]
    suggested = sx.suggest(first, corpus.unlabeled, len(corpus.rest))
    places = {one.source.name: one for one in corpus.rest}
    orders = {"suggested": [places[one.source.name] for one in suggested], "random": list(corpus.rest)}
    random.Random(seed + 1000).shuffle(orders["random"])
    found: dict[str, Any] = {"first": _error(first, test)}
    for most_s in more_s:
        for name, order in orders.items():
            chosen = order[: _count(order, most_s)]
            found[f"{name}, {most_s:g} s"] = _error(
                _trained(corpus, work, settings, [*corpus.labeled, *chosen]).model, test
            )
    return found


def _settings(model: str, head: str, steps: int, assignments: tuple[str, ...]) -> dict[str, Any]:
    epochs = 12
    training = {"epochs": epochs, "steps_per_epoch": max(steps // epochs, 1)}
    layers = [{"model": model, "head": head, "training": training}, *map(parse_assignment, assignments)]
    return merge([*layers, {"ctc": {"ignore_unknown": True}}])


@click.command()
@click.argument("what", type=click.Choice(["self-training", "suggest"]))
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--labeled", default="8m", show_default=True, help="How much of train has labels at first.")
@click.option("--more", multiple=True, help="suggest: how much more is labeled; may be repeated.")
@click.option("--model", default="wav2vec2-nano", show_default=True)
@click.option("--head", default="ctc", show_default=True)
@click.option("--steps", default=600, show_default=True, help="Of every training.")
@click.option("--seeds", default=1, show_default=True)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of all runs.")
@click.option("--name", help="Of the file of results; without it, they are only printed.")
def main(
    what: str, folder: Path, labeled: str, more: tuple[str, ...], model: str, head: str, steps: int, seeds: int,
    assignments: tuple[str, ...], name: str | None,
) -> None:  # fmt: skip
    found = []
    for seed in range(seeds):
        corpus = Corpus(folder, seconds(labeled, "--labeled"), seed)
        settings = _settings(model, head, steps, (*assignments, f"training.seed={seed + 1}"))
        with tempfile.TemporaryDirectory() as place:
            work = Path(place) / "runs"
            work.mkdir()
            amounts = [seconds(one, "--more") for one in more]
            one = (
                _self_training(corpus, work, settings)
                if what == "self-training"
                else _suggest(corpus, work, settings, amounts, seed)
            )
        click.echo(json.dumps({"seed": seed, "labeled": len(corpus.labeled), **one}))
        found.append(one)
    errors = {
        key: statistics.fmean(one[key] for one in found) for key, value in found[0].items() if type(value) is float
    }
    click.echo(json.dumps({"mean": errors}))
    if name:
        record = {"runs": found, "mean": errors, "machine": describe(), "command": command()}
        write_json(RESULTS / f"fewer_labels_{name}.json", record)


if __name__ == "__main__":
    main()
