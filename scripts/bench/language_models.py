"""What a language model of the training text is worth: error rates without it and with it, and the time of the search.

    python -m scripts.bench.language_models --model runs/ivr-it/model --train data/ivr-it/train.jsonl \\
        --dev data/ivr-it/dev.jsonl --test data/ivr-it/test.jsonl [--text more.txt] [--normalizer whisper-english]

The language model is trained on the training text (and `--text`), its weights are tuned on dev. Sentences of test that
the training text has are also left out. Times are processor seconds of one thread for all of test.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

import speechxfer as sx
from speechxfer.data.loading import read
from speechxfer.decoding.lexicon import Search
from speechxfer.evaluation.fusion_tuning import tune
from speechxfer.evaluation.results import compare
from speechxfer.heads.ctc.head import CTCHead


@torch.inference_mode()
def computed(model: sx.SpeechModel, data: sx.Manifest) -> tuple[list[NDArray[np.float32]], float]:
    """[frames, symbols + 1] of each utterance, and the seconds that the encoder took."""
    rows, seconds = [], 0.0
    for utterance in data:
        inputs, num_samples = model.encoder.collate([read(utterance)])
        start = time.process_time()
        hidden_states, num_frames = model.encoder(inputs, num_samples)
        rows.append(model.head.frame_log_probabilities(hidden_states)[0, : int(num_frames[0])].numpy())
        seconds += time.process_time() - start
    return rows, seconds


@click.command(cls=sx.Command)
@click.option("--model", required=True, help="A CTC model without a language model.")
@click.option("--train", required=True, type=click.Path(path_type=Path), help="What it was trained on.")
@click.option("--dev", required=True, type=click.Path(path_type=Path), help="What weights are tuned on.")
@click.option("--test", required=True, type=click.Path(path_type=Path), help="What is measured.")
@click.option("--text", multiple=True, type=click.Path(path_type=Path), help="More text; may be repeated.")
@click.option("--normalizer", default="basic", show_default=True, help="Applied before errors are counted.")
def main(model: str, train: Path, dev: Path, test: Path, text: tuple[Path, ...], normalizer: str) -> None:
    """Print error rates and times as JSON."""
    torch.set_num_threads(1)
    loaded = sx.SpeechModel.load(model, device="cpu")
    assert isinstance(loaded.head, CTCHead)
    write, counted, data = loaded.head.written, sx.TextNormalizer(normalizer), sx.Manifest.read(test)
    words = sx.train_language_model([train, *text], normalizer=loaded.head.normalizer)
    tuned = tune(loaded, words, sx.Manifest.read(dev), counted)
    lexicon = loaded.head.lexicon(words)
    known = {write(utterance.text or "") for utterance in sx.Manifest.read(train)}
    rows, encoder_s = computed(loaded, data)
    ways = {"greedy": None, "fused": Search(lexicon, tuned.fusion.weights, tuned.fusion.beams)}
    for search in ways.values():
        loaded.head.read_frames(rows[0], search)  # compiled on first use
    unseen = [place for place, one in enumerate(data) if write(one.text or "") not in known]
    for name, search in ways.items():
        start = time.process_time()
        found = [loaded.head.read_frames(row, search) for row in rows]
        row = {
            "decoding": name,
            "seconds": round(time.process_time() - start, 2),
            "encoder_seconds": round(encoder_s, 2),
        }
        for part, places in (("all", list(range(len(data)))), ("unseen", unseen)):
            some = data.holding([data[place] for place in places])
            rates = compare(some, [found[place] for place in places], counted).rates
            row |= {f"{part}_wer": round(rates.wer, 4), f"{part}_errors": rates.substitutions + rates.deletions + rates.insertions, f"{part}_utterances": len(places)}  # fmt: skip  # noqa: E501
        click.echo(json.dumps(row))
    click.echo(json.dumps({"weights": str(tuned.fusion.weights), "dev": [one.rates.wer for one in (tuned.greedy, tuned.fused)]}))  # fmt: skip  # noqa: E501


if __name__ == "__main__":
    main()
