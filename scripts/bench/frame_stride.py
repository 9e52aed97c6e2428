"""What half the frames in the trained layers cost in errors and save in time.

    python -m scripts.bench.frame_stride

Trains the telephone prompts' recipe (recipes/ivr_prompts) with the frame rate as it is, halved by the mean of two
neighbors, and halved by a learned mixture, and measures the best model of each on dev and test.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import click

import speechxfer as sx
from scripts.bench.machine import command, describe
from speechxfer.config import build, merge, parse_assignment, read_toml
from speechxfer.runs import RunFolder
from speechxfer.storage import write_json

RESULTS = Path(__file__).parent / "results"
RECIPE = Path(__file__).parents[2] / "recipes" / "ivr_prompts" / "ctc.toml"
VARIANTS: dict[str, dict[str, Any]] = {
    "every frame": {"stride": 1},
    "mean of two": {"stride": 2, "kind": "mean"},
    "learned, of two": {"stride": 2, "kind": "learned"},
}


def train(settings: dict[str, Any], test: str) -> dict[str, Any]:
    """One run: its seconds, those of the processor on it, and the error rates of its best model."""
    config = build(sx.FinetuneConfig, settings)
    start = time.process_time()
    run = sx.finetune(config=config)
    spent = time.process_time() - start
    metrics = RunFolder(run.folder).metrics
    # Not given to finetune, which would first measure the unadapted model on it.
    rates = sx.evaluate(run.model, sx.Manifest.read(test), sx.TextNormalizer(config.text.new_head_normalizer)).rates
    return {
        "seconds": {name: round(value, 2) for name, value in metrics["seconds"].items()},
        "cpu_s": round(spent, 1),
        "dev": {name: round(value, 4) for name, value in metrics["dev"].items()},
        "test": {"wer": round(rates.wer, 4), "cer": round(rates.cer, 4), "words": rates.words},
    }


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=Path("data/ivr-it"), show_default=True)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting of the recipe.")
@click.option("--rehearse", is_flag=True, help="A few utterances, one epoch; nothing is written.")
def main(data: Path, assignments: tuple[str, ...], rehearse: bool) -> None:
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        files = {split: str((data / f"{split}.jsonl").resolve()) for split in ("train", "dev", "test")}
        if rehearse:
            assignments = (*assignments, "training.epochs=1", "training.speed_copies=0", "ctc.ignore_unknown=true")
            for split, path in files.items():
                few = Path(work) / f"{split}.jsonl"
                sx.Manifest.read(path)[:8].write(few)
                files[split] = str(few)
        test = files.pop("test")
        for name, pooling in VARIANTS.items():
            # A cache of its own, so that no variant finds what another one computed.
            folders = {"output": f"{work}/{name}", "training": {"cache_dir": f"{work}/{name}-cache"}}
            layers = [read_toml(RECIPE), files, folders, {"pooling": pooling}, *map(parse_assignment, assignments)]
            found[name] = train(merge(layers), test)
            click.echo(f"{name}: {json.dumps(found[name])}")
    if not rehearse:
        settings = {"corpus": data.name, "changed": list(assignments)}
        record = {**settings, "variants": found, "machine": describe(), "command": command()}
        write_json(RESULTS / "frame_stride.json", record)


if __name__ == "__main__":
    main()
