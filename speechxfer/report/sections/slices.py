"""The error rate in parts of the test split."""

from __future__ import annotations

from collections.abc import Sequence

from speechxfer.data.manifest import Utterance
from speechxfer.errors import DataError
from speechxfer.evaluation.slices import Slice, slices
from speechxfer.report.markup import Content, Html, element, join, rated, section, table
from speechxfer.report.run import FinishedRun

#: Slices of a column that are shown.
_SLICES = 12
#: A column with more values than this names utterances rather than kinds of them.
_MOST_VALUES = 100
#: Estimating noise decodes everything; so much audio takes a few seconds.
_MOST_ESTIMATED_S = 3600.0


def error_slices(run: FinishedRun) -> Html:
    """The error rate by length, noise, speaker and the other columns of the manifest."""
    if run.after is None:
        return Html()
    parts: list[Content] = []
    for column in _columns([result.utterance for result in run.after.results]):
        try:
            found = slices(run.after, column)
        except DataError as error:
            parts.append(element("p", f"Not by {column}: {error}.", class_="about"))
            continue
        if len(found) > 1:
            parts.append(_slices(column, found))
    return section("Error rate by slice", element("div", *parts, class_="row slices")) if parts else Html()


def _columns(test: Sequence[Utterance]) -> list[str]:
    """What divides the test split in parts that hold more than an utterance or two."""
    noted = {name for utterance in test for name in utterance.extra}
    estimated = sum(utterance.duration or _MOST_ESTIMATED_S for utterance in test) <= _MOST_ESTIMATED_S
    others = [name for name in sorted(noted) if name not in ("duration", "snr") and _divides(test, name)]
    snr = ["snr"] if estimated or "snr" in noted else []
    speaker = ["speaker"] if any(utterance.speaker for utterance in test) else []
    return ["duration", *snr, *speaker, *others]


def _divides(test: Sequence[Utterance], column: str) -> bool:
    values = {str(utterance.extra.get(column)) for utterance in test}
    return 1 < len(values) <= min(_MOST_VALUES, len(test) / 2)


def _slices(column: str, found: Sequence[Slice]) -> Html:
    most = max(max(_ends(part) or [part.rate or 0.0]) for part in found) or 1.0
    kept = found
    if len(found) > _SLICES:
        kept = sorted(found, key=lambda part: -(part.rate or 0.0))[:_SLICES]
    rows = []
    for part in kept:
        value, utterances, words, shown = part.row()
        rate = shown if part.rate is None else rated(part.rate, _ends(part))
        rows.append((value, utterances, *([words] if words else []), join([rate, _bar(part, most)])))
    columns = ("utterances", "words", "WER") if len(rows[0]) == 4 else ("utterances", "error")
    title = column if kept is found else f"{column} ({_SLICES} worst of {len(found)})"
    return table((title, *columns), rows, numbers=range(1, len(columns)))


def _ends(part: Slice) -> tuple[float, float] | None:
    """The interval of the error rate, where there is one."""
    bounds = part.intervals.bounds
    if "accuracy" in bounds:
        low, high = bounds["accuracy"]
        return 1.0 - high, 1.0 - low
    return bounds.get("wer")


def _bar(part: Slice, most: float) -> Html | None:
    """The rate as a bar, with a line for its interval."""
    if part.rate is None:
        return None
    bar = element("rect", x=0, y=0, width=round(100 * part.rate / most, 1), height=8, class_="bar")
    line = None
    if ends := _ends(part):
        low, high = (round(100 * end / most, 1) for end in ends)
        line = element("line", x1=low, x2=high, y1=4, y2=4, class_="whisker")
    return element("svg", bar, line, viewbox="0 0 100 8", preserveaspectratio="none", class_="bars", aria_hidden="true")
