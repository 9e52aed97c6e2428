"""Words that the training text lacks, given as hotwords among many that are never said.

    python -m scripts.bench.hotwords --model runs/ivr-it/model-lm --train data/ivr-it/train.jsonl \\
        --test data/ivr-it/test.jsonl --words /usr/share/dict/italian

`--words` is any list of words of the language, one a line. Printed are the error rate, how many of the new words are
right, how many of the others are written, and how many new ones where another word was said, without hotwords and with
them.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import click

import speechxfer as sx


def words(data: sx.Manifest, normalizer: sx.TextNormalizer) -> Counter[str]:
    """The words of all transcripts, with how often they occur."""
    return Counter(word for utterance in data for word in normalizer(utterance.text or "").split())


def figures(found: sx.Evaluation, new: set[str], others: set[str]) -> dict[str, float | int]:
    """Error rate, new words that are right, other hotwords that are written, and new ones in the wrong place."""
    right = written = misplaced = 0
    for result in found.results:
        assert result.pair is not None
        right += sum(result.pair.reference[place] in new for place in result.pair.matches())
        written += sum(word in others for word in result.pair.hypothesis)
        misplaced += sum(word in new for word in result.pair.hypothesis)
    wer = round(found.scores.summary["wer"], 4)
    return {"wer": wer, "right": right, "false": written, "misplaced": misplaced - right}


@click.command(cls=sx.Command)
@click.option("--model", required=True, help="A CTC model, with a language model or without one.")
@click.option("--train", required=True, type=click.Path(path_type=Path), help="What it was trained on.")
@click.option("--test", required=True, type=click.Path(path_type=Path), help="What is transcribed.")
@click.option("--words", "listed", required=True, type=click.Path(path_type=Path), help="A list of words.")
@click.option("--count", default=500, show_default=True, help="Words of the list that are never said.")
@click.option("--seed", default=1, show_default=True)
def main(model: str, train: Path, test: Path, listed: Path, count: int, seed: int) -> None:
    """Print figures without hotwords and with them, as JSON."""
    normalizer = sx.TextNormalizer()
    data = sx.Manifest.read(test)
    known, said = words(sx.Manifest.read(train), normalizer), words(data, normalizer)
    new = set(said) - set(known)
    some = (normalizer(line) for line in listed.read_text(encoding="utf-8", errors="ignore").splitlines())
    candidates = sorted({word for word in some if len(word) > 3} - set(said) - set(known))
    others = set(random.Random(seed).sample(candidates, count))
    loaded = sx.load(model)
    options = sx.DecodingOptions(hotwords=sorted(new | others))
    print(json.dumps({"new": len(new), "occurrences": sum(said[word] for word in new), "others": count}))
    for name, chosen in (("without", None), ("with", options)):
        row = {"hotwords": name, **figures(sx.evaluate(loaded, data, options=chosen), new, others)}
        print(json.dumps(row))


if __name__ == "__main__":
    main()
