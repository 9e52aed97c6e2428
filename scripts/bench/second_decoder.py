"""The beam search beside another implementation of it, on the same probabilities.

    python -m pip install ctc-beam-decoder==0.2.0
    python -m scripts.bench.second_decoder --model runs/ivr-it/model --train data/ivr-it/train.jsonl \\
        --data data/ivr-it/train.jsonl --data data/ivr-it/test.jsonl

Both follow as many beams, without a language model and with one of the training text, which count the same: words that
it lacks cost nothing extra. Where the texts differ, each is rated exactly: the sum over all paths that spell it (by
torch's CTC loss) and the language model's probability. So it shows which search found the better text.
"""

from __future__ import annotations

import importlib
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

import speechxfer as sx
from scripts.bench.language_models import computed
from speechxfer.decoding.ctc_beam import best_text
from speechxfer.decoding.lexicon import Search, Weights
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.language_models import LanguageModel

#: How much the language model counts, and each word.
ALPHA, BETA = 0.6, 1.0
#: Scores that are as good.
EQUAL = 1e-3


def rated(row: NDArray[np.float32], text: str, head: CTCHead, model: LanguageModel | None) -> float:
    """The score of a text, exactly."""
    symbols = torch.tensor([head.spell(text)])
    scores, lengths = torch.from_numpy(row).double()[:, None], torch.tensor([symbols.shape[1]])
    loss = torch.nn.functional.ctc_loss(scores, symbols, torch.tensor([len(row)]), lengths, reduction="sum")
    added = 0.0 if model is None else ALPHA * sum(model.score(text.split())) + BETA * len(text.split())
    return added - float(loss)


def compared(
    rows: list[NDArray[np.float32]], head: CTCHead, other: Any, model: LanguageModel | None, beams: int
) -> Counter[str]:
    """How often the texts are equal, and which is better where they are not."""
    search, found = Search(head.lexicon(model), Weights(ALPHA, BETA, 0.0), beams), Counter[str]()
    written = head.symbol_texts
    for row in rows:
        ours = " ".join("".join(written[number] for number in best_text(row, search)[0]).split())
        # As it has the blank: last.
        columns = np.concatenate([row[:, 1:], row[:, :1]], axis=1)
        theirs = " ".join(other.decode(columns, beam_width=beams, beam_prune_logp=-1e9, token_min_logp=-1e9).split())
        if ours == theirs:
            found["equal"] += 1
            continue
        difference = rated(row, ours, head, model) - rated(row, theirs, head, model)
        found["ours better" if difference > EQUAL else "theirs better" if difference < -EQUAL else "as good"] += 1
    return found


@click.command(cls=sx.Command)
@click.option("--model", required=True, help="A CTC model over characters.")
@click.option("--train", required=True, type=click.Path(path_type=Path), help="Text of the language model.")
@click.option("--data", "manifests", multiple=True, required=True, type=click.Path(path_type=Path))
@click.option("--beams", default=50, show_default=True)
def main(model: str, train: Path, manifests: tuple[Path, ...], beams: int) -> None:
    """Print counts as JSON."""
    library = importlib.import_module("ctc_beam_decoder")
    torch.set_num_threads(1)
    loaded = sx.SpeechModel.load(model, device="cpu")
    head = loaded.head
    assert isinstance(head, CTCHead)
    rows = [row for path in manifests for row in computed(loaded, sx.Manifest.read(path))[0]]
    labels = [*head.symbol_texts[1:], ""]
    with tempfile.TemporaryDirectory() as folder:
        arpa = Path(folder, "words.arpa")
        words = sx.train_language_model(train, normalizer=head.normalizer, output=arpa)
        others = {
            "none": (None, library.build_ctcdecoder(labels)),
            "3-gram": (
                words,
                library.build_ctcdecoder(labels, str(arpa), alpha=ALPHA, beta=BETA, unk_score_offset=0.0),
            ),
        }
        for name, (language_model, other) in others.items():
            counts = compared(rows, head, other, language_model, beams)
            click.echo(json.dumps({"language_model": name, "utterances": len(rows), **counts}))


if __name__ == "__main__":
    main()
