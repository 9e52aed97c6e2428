"""Characters against pieces of words: errors and time, with every frame and with four frames pooled into one.

    python -m scripts.bench.subwords ivr_prompts data/ivr-it
    python -m scripts.bench.subwords accented_english corpora/speechocean762

Trains the recipes' CTC heads (two layers of Whisper tiny.en below them) on Italian telephone prompts and on a part of
an accented English corpus. Epochs are chosen on dev; of the accented corpus, whose dev split is measured on, they are
chosen on training speakers that are held out.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

import speechxfer as sx
from scripts.bench.frame_stride import RESULTS, train
from scripts.bench.machine import command, describe
from speechxfer.config import build, merge, parse_assignment, read_toml
from speechxfer.progress import Progress
from speechxfer.storage import write_json

RECIPES = Path(__file__).parents[2] / "recipes"
#: The same for both corpora: fewer layers, epochs and copies than the recipes have.
SETTINGS: dict[str, Any] = {
    "plan": {"train_top": 2},
    "training": {"epochs": 10, "batch_seconds": 10.0, "speed_copies": 0},
    "ctc": {"ignore_unknown": True},
}
#: Frames that are pooled into one, and the vocabulary.
VARIANTS: tuple[tuple[int, dict[str, Any]], ...] = (
    (4, {"units": "characters"}),
    (4, {"vocabulary_size": 64}),
    (4, {"vocabulary_size": 256}),
    (4, {"vocabulary_size": 512}),
    (1, {"units": "characters"}),
    (1, {"vocabulary_size": 256}),
)
#: Utterances of the accented corpus to train on, to choose epochs by and to measure, and every how many speakers one is
#: held out.
TRAINED, CHOSEN_BY, MEASURED, HELD_OUT = 250, 60, 250, 8

Splits = dict[str, str]


def prompts(folder: Path) -> Splits:
    """The manifests of the telephone prompts as they are."""
    return {split: str((folder / f"{split}.jsonl").resolve()) for split in ("train", "dev", "test")}


def accented(folder: Path, work: Path) -> Splits:
    """Parts of a corpus without a test split: of each, utterances at even distances."""
    whole, measured = (sx.Manifest.read(folder / f"{split}.jsonl") for split in ("train", "dev"))
    held_out = set(sorted({str(one.speaker) for one in whole})[::HELD_OUT])
    apart = [whole.holding([one for one in whole if (str(one.speaker) in held_out) == held]) for held in (False, True)]
    parts = {"train": (apart[0], TRAINED), "dev": (apart[1], CHOSEN_BY), "test": (measured, MEASURED)}
    for split, (manifest, count) in parts.items():
        every = max(len(manifest) // count, 1)
        manifest.holding(list(manifest)[::every][:count]).write(work / f"{split}.jsonl")
    return {split: str(work / f"{split}.jsonl") for split in parts}


def few(splits: Splits, work: Path) -> Splits:
    """Eight utterances of each split."""
    for split, path in splits.items():
        sx.Manifest.read(path)[:8].write(work / f"few-{split}.jsonl")
    return {split: str(work / f"few-{split}.jsonl") for split in splits}


def runs(recipe: str, splits: Splits, work: Path, assignments: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The variants on one corpus."""
    test = splits.pop("test")
    for number, (stride, vocabulary) in enumerate(VARIANTS):
        folders = {"output": str(work / str(number)), "training": {"cache_dir": str(work / f"{number}-cache")}}
        layers = [read_toml(RECIPES / recipe / "ctc.toml"), SETTINGS, splits, folders]
        layers += [{"pooling": {"stride": stride}, "ctc": vocabulary}, *map(parse_assignment, assignments)]
        found = {"stride": stride, **vocabulary, **fit(merge(layers)), **train(merge(layers), test)}
        del found["seconds"]  # which other jobs on the machine change
        click.echo(json.dumps(found))
        yield found


def fit(settings: dict[str, Any]) -> dict[str, Any]:
    """How many utterances can be trained on, and how many symbols they have."""
    from speechxfer.encoders.checkpoints import find
    from speechxfer.training.starting_point import starting_point

    config = build(sx.FinetuneConfig, settings)
    whole = sx.Manifest.read(config.train)
    start = starting_point(config, find(config.model), whole, Progress())
    labels = sum(len(start.model.head.targets(one)) for one in start.train)
    return {"utterances": len(whole), "usable": len(start.train), "labels": labels}


@click.command()
@click.argument("recipe", type=click.Choice(["ivr_prompts", "accented_english"]))
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of all runs.")
@click.option("--rehearse", is_flag=True, help="A few utterances, one epoch; nothing is written.")
def main(recipe: str, folder: Path, assignments: tuple[str, ...], rehearse: bool) -> None:
    if rehearse:
        assignments = (*assignments, "training.epochs=1", "ctc.vocabulary_size=0")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        splits = prompts(folder) if recipe == "ivr_prompts" else accented(folder, work)
        found = list(runs(recipe, few(splits, work) if rehearse else splits, work, assignments))
    if not rehearse:
        settings = {"corpus": folder.name, "changed": list(assignments)}
        record = {**settings, "runs": found, "machine": describe(), "command": command()}
        write_json(RESULTS / f"subwords_{recipe}.json", record)


if __name__ == "__main__":
    main()
