"""Whether errors are counted as jiwer and NIST's sclite count them, pair by pair.

    apt-get download sctk && dpkg -x sctk_*.deb sctk
    python -m scripts.bench.error_counts data/ivr-en/train.jsonl --sclite sctk/usr/lib/sctk/bin/sclite

Texts of manifests are damaged at random (words exchanged, left out, put in, repeated) at several rates; files that
`evaluate --predictions` wrote are taken as they are. Both are counted as words, and as characters, by
the package, by jiwer over the whole corpus, by sclite, and by an alignment of our own with sclite's costs.

sclite looks for the alignment of the lowest cost where a substitution costs 4 and an insertion or deletion 3, jiwer
for that of the fewest errors. `total_differs` counts the pairs where sclite thereby finds another number of errors (it
can only be more), `split_differs` those where both find as many, but of other kinds. That these costs, and nothing
else, are the difference is shown by an alignment of our own with them: `sclite_at_another_cost` has to be 0.
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import jiwer

from scripts.bench.machine import command, describe
from speechxfer.data import rows
from speechxfer.data.text import TextNormalizer
from speechxfer.errors import ConfigError
from speechxfer.evaluation.metrics import Counts, align, rates_of
from speechxfer.storage import write_json

_RATES = (0.02, 0.1, 0.3, 0.7)
#: What sclite's alignment pays for a substitution, and for an insertion or deletion.
_SUBSTITUTION, _GAP = 4, 3
#: What stands for a space where characters are counted as words.
_SPACE = "_"


def damaged(words: Sequence[str], rate: float, vocabulary: Sequence[str], dice: random.Random) -> list[str]:
    """The words with errors of all kinds, about `rate` of them each."""
    written: list[str] = []
    for word in words:
        fate = dice.random() / rate
        if fate < 0.3:  # left out
            continue
        written += [dice.choice(vocabulary)] if fate < 0.7 else [word]
        if 0.7 <= fate < 0.9:
            written.append(dice.choice([word, dice.choice(vocabulary)]))
    return written


def lowest_cost(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """What the cheapest alignment costs by sclite's weights."""
    previous = [_GAP * column for column in range(len(hypothesis) + 1)]
    for row, word in enumerate(reference, start=1):
        current = [_GAP * row]
        for column, written in enumerate(hypothesis, start=1):
            kept = previous[column - 1] + (0 if word == written else _SUBSTITUTION)
            current.append(min(kept, previous[column] + _GAP, current[-1] + _GAP))
        previous = current
    return previous[-1]


def sclite_counts(sclite: Path, pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> list[Counts]:
    """What sclite counts in each pair."""
    with tempfile.TemporaryDirectory() as folder:
        for side, name in enumerate(("ref.trn", "hyp.trn")):
            lines = (f"{' '.join(pair[side])} (all-{number:06d})\n" for number, pair in enumerate(pairs))
            (Path(folder) / name).write_text("".join(lines), encoding="utf-8")
        options = ["-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "spu_id", "-s", "-e", "utf-8", "-o", "pra", "stdout"]  # fmt: skip  # noqa: E501
        done = subprocess.run(
            [sclite.absolute(), *options], cwd=folder, capture_output=True, encoding="utf-8", check=True
        )
    found: dict[str, Counts] = {}
    name = ""
    for line in done.stdout.splitlines():
        if line.startswith("id: ("):
            name = line[5:-1]
        elif line.startswith("Scores:"):
            found[name] = Counts(*map(int, line.split()[-4:]))
    return [found[name] for name in sorted(found)]


def agreement(pairs: Sequence[tuple[str, str]], sclite: Path | None) -> dict[str, Any]:
    """Counts of all sides over pairs of normalized texts, and in how many pairs they differ."""
    normalizer = TextNormalizer("none")
    references, hypotheses = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    aligned = align(references, hypotheses, normalizer)
    ours = [pair.words for pair in aligned]
    rates, theirs = rates_of(aligned, normalizer), jiwer.process_words(references, hypotheses)
    jiwer_counts = Counts(theirs.hits, theirs.substitutions, theirs.deletions, theirs.insertions)
    same_rates = (rates.wer, rates.mer, rates.wil) == (theirs.wer, theirs.mer, theirs.wil)
    found: dict[str, Any] = {"pairs": len(pairs), "words": rates.words, "ours": _plain(_sum(ours))}
    found |= {"jiwer": _plain(jiwer_counts), "jiwer_agrees": jiwer_counts == _sum(ours) and same_rates}
    if sclite is None:
        return found
    nist = sclite_counts(sclite, [(pair.reference, pair.hypothesis) for pair in aligned])
    costs = [_SUBSTITUTION * one.substitutions + _GAP * (one.deletions + one.insertions) for one in nist]
    lowest = [lowest_cost(pair.reference, pair.hypothesis) for pair in aligned]
    sides = list(zip(ours, nist, strict=True))
    return {
        **found,
        "sclite": _plain(_sum(nist)),
        "sclite_equal": sum(one == other for one, other in sides),
        "total_differs": sum(one.errors != other.errors for one, other in sides),
        "split_differs": sum(one.errors == other.errors and one != other for one, other in sides),
        "sclite_with_fewer_errors": sum(other.errors < one.errors for one, other in sides),
        "sclite_at_another_cost": sum(one != other for one, other in zip(costs, lowest, strict=True)),
    }


def read_pairs(paths: Sequence[Path], most: int) -> dict[str, list[tuple[str, str]]]:
    """Pairs of normalized texts by where they come from, at most so many from a source."""
    normalizer, texts = TextNormalizer(), list[str]()
    found: dict[str, list[tuple[str, str]]] = {}
    for path in paths:
        for _, row in rows.read(path):
            if row.get("reference") is None:
                texts.append(normalizer(row.get("text") or ""))
            else:
                pair = (normalizer(row["reference"]), normalizer(row.get("text") or ""))
                found.setdefault(f"hypotheses of {path.stem}", []).append(pair)
    if not texts and not found:
        raise ConfigError("no texts and no hypotheses; wanted manifests, or what `evaluate --predictions` writes")
    vocabulary = sorted({word for text in texts for word in text.split()})
    dice = random.Random(1)
    for rate in _RATES if texts else ():
        chosen = dice.choices(texts, k=most)
        found[f"damaged at {rate:g}"] = [
            (text, " ".join(damaged(text.split(), rate, vocabulary, dice))) for text in chosen
        ]
    return {name: pairs[:most] for name, pairs in found.items()}


def _sum(counts: Sequence[Counts]) -> Counts:
    return sum(counts, start=Counts())


def _plain(counts: Counts) -> dict[str, int]:
    names = ("hits", "substitutions", "deletions", "insertions", "errors")
    return {name: getattr(counts, name) for name in names}


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--sclite", type=click.Path(exists=True, path_type=Path), help="NIST's program; without it only jiwer.")
@click.option("--pairs", default=1500, show_default=True, help="At most so many of each source.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures here as JSON.")
def main(files: tuple[Path, ...], sclite: Path | None, pairs: int, output: Path | None) -> None:
    sources = read_pairs(files, pairs)
    spelled = {
        f"{name}, characters": [(_spelled(one), _spelled(other)) for one, other in found[: pairs // 5]]
        for name, found in sources.items()
    }
    result: dict[str, Any] = {name: agreement(found, sclite) for name, found in (sources | spelled).items()}
    result = {"sources": result, "command": command(), "machine": describe()}
    click.echo(json.dumps(result, indent=2))
    if output:
        write_json(output, result)


def _spelled(text: str) -> str:
    """A text whose words are its characters."""
    return " ".join(text.replace(" ", _SPACE))


if __name__ == "__main__":
    main()
