"""Whether intervals hold the truth as often as they say, and tests raise alarms as rarely.

    python -m scripts.bench.intervals --output scripts/bench/results/intervals.json

Test sets are drawn from speech whose true error rate is known: utterances of 1 to 30 words, each with a difficulty of
its own (a beta distribution, harder where short), some of it its speaker's; insertions come on top. Coverage is the
share of test sets whose interval holds the true rate. A false alarm is a difference shown (p < 0.05) between two
systems with the same true rate, which find the same utterances hard and have luck of their own, with each utterance or
with each speaker; or which write the same but for an error more or less in a few utterances, as a model does before
and after a small change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from scripts.bench.machine import command, describe
from speechxfer.evaluation.intervals import LEVEL, RESAMPLES, ratio_intervals, units
from speechxfer.evaluation.significance import matched_pairs, paired_bootstrap
from speechxfer.storage import write_json

_MEAN_RATE, _INSERTIONS = 0.12, 0.02
#: Concentrations of the beta distributions: how alike utterances, and speakers, are.
_UTTERANCES_ALIKE, _SPEAKERS_ALIKE = 4.0, 15.0
_ENOUGH_FOR_TRUTH = 4_000_000
_UTTERANCES = 300
#: How many of them differ in systems that are nearly the same.
_DIFFERING = (4, 8, 16)


@dataclass(frozen=True)
class Speech:
    """Where test sets come from: so many speakers with so many utterances each; of one each, they are independent."""

    name: str
    speakers: int
    utterances_each: int = 1

    def draw(self, generator: np.random.Generator, systems: int = 1) -> tuple[NDArray[Any], NDArray[Any]]:
        """Errors [systems, num_utterances] and words [num_utterances] of a test set."""
        size = (self.speakers, self.utterances_each)
        words = np.clip(np.exp(generator.normal(1.9, 0.7, size)).astype(int), 1, 30)
        grouped = self.utterances_each > 1
        means = [self._means(generator) if grouped else np.full(self.speakers, _MEAN_RATE) for _ in range(systems)]
        harder = 0.6 + 2.4 / (words + 2)  # short utterances are harder, so that rates and lengths go together
        shared = generator.beta(_UTTERANCES_ALIKE, _UTTERANCES_ALIKE, size) * 2
        errors = []
        for mean in means:
            rates = np.clip(mean[:, None] * harder * shared, 0, 1)
            errors.append(generator.binomial(words, rates) + generator.poisson(_INSERTIONS * words))
        return np.stack([one.ravel() for one in errors]), words.ravel()

    def _means(self, generator: np.random.Generator) -> NDArray[Any]:
        return generator.beta(_SPEAKERS_ALIKE * _MEAN_RATE, _SPEAKERS_ALIKE * (1 - _MEAN_RATE), self.speakers)

    def truth(self, generator: np.random.Generator) -> float:
        """The error rate of all that could be said."""
        errors, words = Speech(self.name, _ENOUGH_FOR_TRUTH // self.utterances_each, self.utterances_each).draw(generator)  # fmt: skip  # noqa: E501
        return float(errors.sum() / words.sum())

    def names(self) -> list[str | None]:
        """The speaker of each utterance; None where utterances are independent."""
        if self.utterances_each == 1:
            return [None] * self.speakers
        return [str(speaker) for speaker in range(self.speakers) for _ in range(self.utterances_each)]


_SPEECHES = (
    Speech("300 independent utterances", 300),
    Speech("50 independent utterances", 50),
    Speech("40 speakers, 15 utterances each", 40, 15),
    Speech("20 speakers, 30 utterances each", 20, 30),
    Speech("8 speakers, 50 utterances each", 8, 50),
    Speech("5 speakers, 50 utterances each", 5, 50),
)


def coverage(speech: Speech, corpora: int, generator: np.random.Generator) -> dict[str, Any]:
    """How often the interval holds the true error rate, over the units that the package chooses and over utterances."""
    truth = speech.truth(generator)
    chosen = units(speech.names())
    alone = units([None] * len(speech.names()))
    held, held_alone, widths = [], [], []
    for errors, words in _drawn(speech, corpora, generator, 1):
        low, high = ratio_intervals({"wer": (errors[0], words)}, chosen).bounds["wer"]
        held.append(low <= truth <= high)
        widths.append(high - low)
        if chosen.name == "speaker":
            low, high = ratio_intervals({"wer": (errors[0], words)}, alone).bounds["wer"]
            held_alone.append(low <= truth <= high)
    found = {"speech": speech.name, "true_wer": round(truth, 4), "unit": chosen.name, "coverage": _share(held)}
    found["mean_width"] = round(float(np.mean(widths)), 4)
    return {**found, "coverage_if_utterances_were_drawn": _share(held_alone)} if held_alone else found


def false_alarms(speech: Speech, corpora: int, generator: np.random.Generator) -> dict[str, Any]:
    """How often two systems of the same quality are said to differ."""
    drawn = units(speech.names())
    bootstrap, pairs = [], []
    for errors, words in _drawn(speech, corpora, generator, 2):
        paired, matched = paired_bootstrap(errors[0], errors[1], words, drawn), matched_pairs(errors[0], errors[1])
        bootstrap.append(paired is not None and paired.significant)
        pairs.append(matched is not None and matched.p < 1 - LEVEL)
    found = {"speech": speech.name, "unit": drawn.name, "paired_bootstrap": _share(bootstrap)}
    return {**found, "matched_pairs": _share(pairs)}


def false_alarms_of_small_changes(differing: float, corpora: int, generator: np.random.Generator) -> dict[str, Any]:
    """The same where about so many of 300 utterances differ, by one error to one side or the other."""
    drawn = units([None] * _UTTERANCES)
    words = np.full(_UTTERANCES, 8)
    bootstrap, without_least, pairs = [], [], []
    for _ in range(corpora):
        gain = generator.choice([-1, 0, 1], _UTTERANCES, p=_either(differing / _UTTERANCES))
        first, second = np.maximum(-gain, 0), np.maximum(gain, 0)
        paired, matched = paired_bootstrap(first, second, words, drawn), matched_pairs(first, second)
        bootstrap.append(paired is not None and paired.significant)
        without_least.append(paired is not None and paired.p < 1 - LEVEL)
        pairs.append(matched is not None and matched.p < 1 - LEVEL)
    found = {"speech": f"about {differing:g} of {_UTTERANCES} utterances differ", "unit": drawn.name}
    shares = {"paired_bootstrap": _share(bootstrap), "matched_pairs": _share(pairs)}
    return {**found, **shares, "paired_bootstrap_if_any_number_could_differ": _share(without_least)}


def _either(share: float) -> list[float]:
    return [share / 2, 1 - share, share / 2]


def _drawn(
    speech: Speech, corpora: int, generator: np.random.Generator, systems: int
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    return (speech.draw(generator, systems) for _ in range(corpora))


def _share(found: list[bool]) -> float:
    return round(float(np.mean(found)), 4)


@click.command()
@click.option("--corpora", default=1000, show_default=True, help="Test sets drawn for each figure.")
@click.option("--seed", default=1, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures here as JSON.")
def main(corpora: int, seed: int, output: Path | None) -> None:
    generator = np.random.default_rng(seed)
    result = {
        "corpora": corpora,
        "level": LEVEL,
        "resamples": RESAMPLES,
        "coverage": [coverage(speech, corpora, generator) for speech in _SPEECHES],
        "false_alarms": [
            *(false_alarms(speech, corpora, generator) for speech in _SPEECHES),
            *(false_alarms_of_small_changes(differing, corpora, generator) for differing in _DIFFERING),
        ],
        "command": command(),
        "machine": describe(),
    }
    click.echo(json.dumps(result, indent=2))
    if output:
        write_json(output, result)


if __name__ == "__main__":
    main()
