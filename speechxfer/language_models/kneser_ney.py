"""Training with interpolated modified Kneser-Ney smoothing (Chen and Goodman, 1999; Heafield et al., 2013)."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from speechxfer.errors import ConfigError, DataError
from speechxfer.language_models.ngrams import BEGIN, END, UNKNOWN, Gram, Ngrams

#: Taken off counts of 1, 2 and more where a text is too small to estimate that.
_FALLBACK = (0.5, 1.0, 1.5)
#: The common logarithm of what cannot occur: a beginning inside a sentence.
_NEVER = -99.0


def train(texts: Iterable[str], order: int = 3, prune: Sequence[int] = ()) -> Ngrams:
    """A model of normalized texts, each a sentence of words between spaces.

    Args:
        texts: to learn from; empty ones are left out.
        order: words of the longest n-gram, 1 to 6.
        prune: n-grams of each order that occur at most so often are left out; the last number is that of all longer
            n-grams, and no number is lower than the one before. Single words always stay.

    Raises:
        ConfigError: an order or numbers that make no model.
        DataError: there is no word in the texts.
    """
    _check(order, prune)
    raw = _counted(texts, order)
    thresholds = [0, *prune[1:], *[prune[-1]] * order][:order] if prune else [0] * order
    adjusted = [_continuations(raw, size) for size in range(1, order)] + [raw[order]]
    kept = [
        {gram: count for gram, count in counts.items() if raw[size][gram] > thresholds[size - 1]}
        for size, counts in enumerate(adjusted, 1)
    ]
    probabilities: list[dict[Gram, float]] = []
    backoffs: dict[Gram, float] = {}
    for counts, stays in zip(adjusted, kept, strict=True):
        lower = probabilities[-1] if probabilities else None
        found, factors = _smoothed(counts, stays, lower)
        probabilities.append(found)
        backoffs |= factors
    probabilities[0][(UNKNOWN,)] = backoffs.pop(()) / (len(probabilities[0]) + 1)
    logarithms = [{gram: _log10(value) for gram, value in grams.items()} for grams in probabilities]
    logarithms[0][(BEGIN,)] = _NEVER
    return Ngrams(tuple(logarithms), {gram: _log10(value) for gram, value in backoffs.items() if value < 1.0})


def _check(order: int, prune: Sequence[int]) -> None:
    if not 1 <= order <= 6:
        raise ConfigError(f"order is {order}; wanted 1 to 6")
    if list(prune) != sorted(prune) or (prune and prune[0] != 0) or len(prune) > order:
        raise ConfigError(f"prune is {' '.join(map(str, prune))}; wanted at most {order} numbers that do not fall, the first 0, such as 0 0 1")  # fmt: skip  # noqa: E501


def _counted(texts: Iterable[str], order: int) -> list[Counter[Gram]]:
    """How often each n-gram occurs, by size."""
    raw: list[Counter[Gram]] = [Counter() for _ in range(order + 1)]
    for text in texts:
        words = text.split()
        if not words:
            continue
        sentence = (BEGIN, *(UNKNOWN if word in (BEGIN, END) else word for word in words), END)
        for size in range(1, order + 1):
            raw[size].update(sentence[start : start + size] for start in range(len(sentence) - size + 1))
    if not raw[1]:
        raise DataError("there is no word in the text, so there is nothing to train on; wanted sentences, one a line")
    return raw


def _continuations(raw: Sequence[Counter[Gram]], size: int) -> dict[Gram, int]:
    """After how many different words each n-gram occurs; those at the beginning of a sentence keep their counts."""
    found: dict[Gram, int] = Counter(gram[1:] for gram in raw[size + 1])
    return {gram: raw[size][gram] if gram[0] == BEGIN else found[gram] for gram in raw[size]}


def _discounts(counts: Iterable[int]) -> tuple[float, float, float]:
    """What is taken off counts of 1, of 2, and of 3 and more."""
    many = Counter(counts)
    once, twice, thrice, four = (many[number] for number in (1, 2, 3, 4))
    if not (once and twice and thrice):
        return _FALLBACK
    factor = once / (once + 2 * twice)
    found = (1 - 2 * factor * twice / once, 2 - 3 * factor * thrice / twice, 3 - 4 * factor * four / thrice)
    valid = all(0 <= one <= number for number, one in enumerate(found, 1))
    return found if valid else _FALLBACK


def _smoothed(
    counts: dict[Gram, int], kept: dict[Gram, int], lower: dict[Gram, float] | None
) -> tuple[dict[Gram, float], dict[Gram, float]]:
    """The probabilities of the n-grams that are kept, and the factors of their contexts for all other words.

    Args:
        counts: of all n-grams of this size; those of the beginning of a sentence alone do not count.
        kept: the same without those that are pruned.
        lower: the probabilities of the next smaller size; None for single words, which are mixed with a uniform one.
    """
    counts = {gram: count for gram, count in counts.items() if gram != (BEGIN,)}
    discounts = _discounts(counts.values())
    totals: Counter[Gram] = Counter()
    freed: defaultdict[Gram, float] = defaultdict(float)
    for gram, count in counts.items():
        totals[gram[:-1]] += count
        freed[gram[:-1]] += discounts[min(count, 3) - 1] if gram in kept else count
    factors = {context: freed[context] / total for context, total in totals.items()}
    words = len(counts) + 1  # with the unknown one
    found = {}
    for gram, count in kept.items():
        if gram == (BEGIN,):
            continue
        context = gram[:-1]
        below = 1 / words if lower is None else lower[gram[1:]]
        found[gram] = (count - discounts[min(count, 3) - 1]) / totals[context] + factors[context] * below
    return found, factors


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else _NEVER
