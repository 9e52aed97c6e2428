"""The figures of one GPU in one call: fine-tuning wav2vec2-base against Trainer, recognition against pipeline, and the
frozen layers of an encoder of parakeet-ctc-0.6b's shape.

    python -m scripts.bench.gpu --results FOLDER
    python -m scripts.bench.gpu --rehearse          (on any machine, in a minute or two)

Needs no network and no corpus: noise of the lengths of read speech stands in for it (2,500 utterances, 2.9 hours),
since neither speed nor memory depends on what is said. Each row is written as soon as it is measured.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import click
import torch

from scripts.bench import comparison, corpora, frozen_prefix, recognition, sides
from scripts.bench.jobs import ROWS
from scripts.bench.train_against_trainer import RESULTS, prepare
from speechxfer.runs import RunFolder
from speechxfer.storage import write_json

TRAININGS = ("w2v2-top2", "w2v2-head", "w2v2-all")
OTHERS = ("recognition", "frozen-prefix")


@click.command()
@click.option("--row", "names", type=click.Choice([*TRAININGS, *OTHERS]), multiple=True, help="Default: all.")
@click.option("--utterances", default=2500, show_default=True)
@click.option("--epochs", default=20, show_default=True)
@click.option("--peer-epochs", type=int, help="The peer runs only so many and is extrapolated (default: all).")
@click.option("--batch-s", default=130.0, show_default=True, help="Seconds of audio in a step.")
@click.option("--recognition-batch-s", default=600.0, show_default=True)
@click.option("--recognized", default=600, show_default=True, help="Utterances that are recognized.")
@click.option("--prefix-batch-s", default=2400.0, show_default=True)
@click.option("--workers", type=int, help="Processes that load the peer's batches (default: the fastest by trial).")
@click.option("--rounds", default=1, show_default=True, help="Of training; recognition always takes three.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Folder for the figures.")
@click.option("--rehearse", is_flag=True, help="Everything at a tiny size; nothing is written.")
def main(
    names: tuple[str, ...], utterances: int, epochs: int, peer_epochs: int | None, batch_s: float,
    recognition_batch_s: float, recognized: int, prefix_batch_s: float, workers: int | None, rounds: int,
    results: Path, rehearse: bool,
) -> None:  # fmt: skip
    if rehearse:
        utterances, epochs, batch_s, recognition_batch_s, prefix_batch_s, workers = (
            16,
            2,
            30.0,
            30.0,
            30.0,
            workers or 0,
        )
    names = names or (*TRAININGS, *OTHERS)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as work:
        train = corpora.synthetic(Path(work) / "train", utterances, seed=1)
        dev = corpora.synthetic(Path(work) / "dev", 8, seed=2)
        for name in [name for name in names if name in ROWS]:
            row = replace(ROWS[name], epochs=epochs, batch_s=batch_s)
            row, job = prepare(
                row, Path(work) / name, train=train, dev=dev, utterances=None, dev_utterances=None, tiny=rehearse
            )
            measured = min(peer_epochs or epochs, epochs)
            job = replace(job, peer_epochs=measured, peer_workers=workers, score_peer=False)
            click.echo(f"{name}: {job.peer_batch} utterances in a step of the peer")
            record = comparison.measure(job, rounds=rounds, only=None, full_peer=False, say=click.echo)
            click.echo(f"{name}: {record['ratio']} times faster; memory {record['ours']['peak_memory_gb']} against "
                       f"{record['peer']['peak_memory_gb']}")  # fmt: skip
            if not rehearse:
                write_json(results / f"gpu_{name}.json", record)
        if "recognition" in names:
            some = corpora.part(train, min(recognized, utterances), Path(work) / "recognized.jsonl")
            row = replace(ROWS["w2v2-head"], epochs=1, batch_s=batch_s)
            row, job = prepare(
                row, Path(work) / "recognition", train=str(some.path), dev=dev, utterances=None, dev_utterances=None,
                tiny=rehearse,
            )  # fmt: skip
            sides.run("ours", job)
            figures = recognition.measure(
                RunFolder(Path(job.output) / "run").model, Path(job.model), str(some.path), Path(work), device=device,
                batch_s=recognition_batch_s, rounds=3,
            )  # fmt: skip
            for precision, found in figures["precisions"].items():
                click.echo(f"recognition, {precision}: {found}")
            if not rehearse:
                write_json(results / "gpu_recognition.json", figures)
        if "frozen-prefix" in names:
            shape = corpora.fastconformer(Path(work) / "fastconformer", tiny=rehearse)
            figures = frozen_prefix.measure(shape, train, device=device, batch_s=prefix_batch_s, rounds=3)
            for part, found in figures["parts"].items():
                click.echo(f"frozen prefix, {part}: {found['times_real_time']} times real time")
            if not rehearse:
                write_json(results / "gpu_frozen-prefix.json", figures)


if __name__ == "__main__":
    main()
