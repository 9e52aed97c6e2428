"""How a language model should count beside a CTC model: weights that make the fewest errors on dev."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from speechxfer.data.batching import batches
from speechxfer.data.loading import durations_s, read
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.lexicon import Search, Weights
from speechxfer.evaluation.results import Evaluation, compare, score
from speechxfer.heads.fusion import Fusion
from speechxfer.language_models import LanguageModel
from speechxfer.predictor import Predictor
from speechxfer.progress import Progress

#: Seconds of audio computed together, and most of dev that weights are searched on.
_BATCH_S, _SEARCHED_S = 30.0, 300.0
#: Values that are tried: of the coarse ones each with each, then, from the best of these, of the fine ones one weight
#: after the other.
_COARSE = {"language_model": (0.3, 0.6, 1.0, 1.5), "word": (0.0, 2.0, 4.0), "unknown": (-1.0, -3.0)}
_FINE = {
    "language_model": (0.2, 0.3, 0.45, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0),
    "word": (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0),
    "unknown": (0.0, -0.25, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0),
}
_STARTS, _ROUNDS = 3, 2


@dataclass(frozen=True)
class Tuned:
    """A language model with its weights, and what it is worth on dev."""

    fusion: Fusion
    greedy: Evaluation
    fused: Evaluation

    @property
    def helps(self) -> bool:
        """Whether there are fewer errors with it than without."""
        return self.fused.scores.rank < self.greedy.scores.rank


def tune(
    model: Predictor, language_model: LanguageModel, dev: Manifest, normalizer: TextNormalizer | None = None, *,
    beams: int = 50, progress: Progress | None = None,
) -> Tuned:  # fmt: skip
    """Find the weights by a coarse grid and a search along each weight; the model stays as it is.

    Args:
        model: with a CTC head, trained or exported.
        language_model: over words as the head's normalizer writes them.
        dev: decides.
        normalizer: how texts are written before errors are counted; without one, as `basic` does.
        beams: texts that are followed at once.
        progress: receives what goes on.

    Raises:
        ConfigError: the model has no CTC head, or writes no spaces.
        DataError: an utterance without text, no word in any text, or unreadable audio.
    """
    head, progress = model.traits, progress or Progress()
    words = head.lexicon(language_model)
    normalizer = normalizer or TextNormalizer()
    head.check_measurable(dev, normalizer)
    rows = _log_probabilities(model, dev, progress)
    step = max(1, round(sum(map(len, rows)) / head.frame_rate / _SEARCHED_S))
    some = Manifest(dev[index] for index in range(0, len(dev), step))

    def errors(weights: Weights) -> float:
        search = Search(words, weights, beams)
        scores = score(some, [head.read_frames(row, search) for row in rows[::step]], normalizer)
        # Of few words, many weights make the same number of errors; characters are finer.
        return sum(scores.summary.values())

    weights = _searched(errors, progress)
    both = (None, Search(words, weights, beams))
    greedy, fused = (compare(dev, [head.read_frames(row, one) for row in rows], normalizer) for one in both)
    return Tuned(Fusion(language_model, weights, beams), greedy, fused)


def _searched(errors: Callable[[Weights], float], progress: Progress) -> Weights:
    """The weights with the fewest errors; of equals, those that were tried first."""
    counted = functools.cache(errors)
    grid = [Weights(*values) for values in itertools.product(*_COARSE.values())]
    with progress.task("weights", len(grid) + _STARTS * _ROUNDS * sum(map(len, _FINE.values()))) as advance:

        def ranked(candidates: Iterable[Weights]) -> list[Weights]:
            found = []
            for weights in candidates:
                found.append((counted(weights), weights))
                advance(1)
            return [weights for _, weights in sorted(found, key=lambda one: one[0])]

        def descended(best: Weights) -> Weights:
            for name, values in [*_FINE.items()] * _ROUNDS:
                best = min(best, ranked(replace(best, **{name: value}) for value in values)[0], key=counted)
            return best

        return min(map(descended, ranked(grid)[:_STARTS]), key=counted)


def _log_probabilities(model: Predictor, manifest: Manifest, progress: Progress) -> list[NDArray[np.float32]]:
    """[frames, symbols + 1] of each utterance."""
    durations = durations_s(manifest, model.max_duration_s)
    costs = [model.computed_s(duration) for duration in durations]
    found: dict[int, NDArray[np.float32]] = {}
    with progress.task("listening", sum(durations)) as advance:
        for batch in batches(range(len(manifest)), costs, _BATCH_S):
            rows = model.frame_log_probabilities([read(manifest[index], progress) for index in batch])
            found.update(zip(batch, (row.copy() for row in rows), strict=True))
            advance(sum(durations[index] for index in batch))
    return [found[index] for index in range(len(manifest))]
