"""Words that were taken for others, left out or added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from speechxfer.evaluation.metrics import Pair
from speechxfer.evaluation.predictions import aligned_words
from speechxfer.report.markup import Html, element, section, table
from speechxfer.report.run import FinishedRun

#: Rows of each table.
_PAIRS = 12


def confusions(run: FinishedRun) -> Html:
    """Tables of both, the most frequent first."""
    pairs = [result.pair for result in run.after.results if result.pair] if run.after else []
    substituted, deleted, inserted = counted_errors(pairs)
    swaps = [(str(count), reference, hypothesis) for (reference, hypothesis), count in substituted.most_common(_PAIRS)]
    parts = [table(("times", "said", "written"), swaps, numbers=[0])] if swaps else []
    for title, words in (("left out", deleted), ("put in", inserted)):
        rows = [(str(count), word) for word, count in words.most_common(_PAIRS)]
        parts += [table(("times", title), rows, numbers=[0])] if rows else []
    return section("Confusions", element("div", *parts, class_="row pairs")) if parts else Html()


def counted_errors(pairs: Iterable[Pair]) -> tuple[Counter[tuple[str, str]], Counter[str], Counter[str]]:
    """How often each pair of words was confused, and each word was left out or added."""
    substituted: Counter[tuple[str, str]] = Counter()
    deleted: Counter[str] = Counter()
    inserted: Counter[str] = Counter()
    for pair in pairs:
        for reference, hypothesis in aligned_words(pair):
            if reference is None:
                inserted[hypothesis or ""] += 1
            elif hypothesis is None:
                deleted[reference] += 1
            elif reference != hypothesis:
                substituted[reference, hypothesis] += 1
    return substituted, deleted, inserted
