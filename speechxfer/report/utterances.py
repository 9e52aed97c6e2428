"""Where the errors are: in which utterances, between which words, in which part of the test split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.errors import DataError
from speechxfer.evaluation.metrics import Pair
from speechxfer.evaluation.results import Evaluation, Result
from speechxfer.evaluation.slices import Slice, slices
from speechxfer.report.clips import Clips
from speechxfer.report.markup import Content, Html, element, join, rated, section, table
from speechxfer.report.run import FinishedRun

#: Utterances, pairs of words and slices of a column that are shown.
_UTTERANCES, _PAIRS, _SLICES = 12, 12, 12
#: A column with more values than this names utterances rather than kinds of them.
_MOST_VALUES = 100
#: Estimating noise decodes everything; so much audio takes a few seconds.
_MOST_ESTIMATED_S = 3600.0


def worst_utterances(run: FinishedRun) -> Html:
    """The utterances with the most errors, what was said aligned with what was written, and their sound."""
    clips = Clips()
    shown = [_utterance(run, result, clips) for result in run.worst[:_UTTERANCES]]
    if not shown:
        return Html()
    if run.is_classifier:
        legend = element("p", "Above the class that it is, below the one it was taken for.", class_="legend")
        return section("Wrong utterances", legend, *shown)
    kinds = (("same", "same", ""), ("said", "other", "s"), ("missing", "", "d"), ("", "extra", "i"))
    told = "Above what was said, below what was written: "
    legend = element("p", told, *(_word(*kind) for kind in kinds), class_="legend")
    return section("Worst utterances", legend, *shown)


def confusions(run: FinishedRun) -> Html:
    """Words taken for others, left out and put in, the most frequent first."""
    pairs = [result.pair for result in run.evaluation.results if result.pair] if run.evaluation else []
    substituted, deleted, inserted = counted_errors(pairs)
    swaps = [(str(count), said, written) for (said, written), count in substituted.most_common(_PAIRS)]
    parts = [table(("times", "said", "written"), swaps, numbers=[0])] if swaps else []
    for title, words in (("left out", deleted), ("put in", inserted)):
        rows = [(str(count), word) for word, count in words.most_common(_PAIRS)]
        parts += [table(("times", title), rows, numbers=[0])] if rows else []
    return section("Confusions", element("div", *parts, class_="row pairs")) if parts else Html()


def counted_errors(pairs: Iterable[Pair]) -> tuple[Counter[tuple[str, str]], Counter[str], Counter[str]]:
    """How often which word was taken for which, which was left out, and which was put in."""
    substituted: Counter[tuple[str, str]] = Counter()
    deleted: Counter[str] = Counter()
    inserted: Counter[str] = Counter()
    for pair in pairs:
        for said, written, kind in aligned_words(pair):
            if kind == "s":
                substituted[said, written] += 1
            elif kind == "d":
                deleted[said] += 1
            elif kind == "i":
                inserted[written] += 1
    return substituted, deleted, inserted


def aligned_words(pair: Pair) -> list[tuple[str, str, str]]:
    """Word by word: what was said, what was written, and "", "s", "d" or "i" for what became of it."""
    found = []
    for chunk in pair.chunks:
        said = pair.reference[chunk.ref_start_idx : chunk.ref_end_idx]
        written = pair.hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "delete":
            found += [(word, "", "d") for word in said]
        elif chunk.type == "insert":
            found += [("", word, "i") for word in written]
        else:
            kind = "s" if chunk.type == "substitute" else ""
            found += [(*both, kind) for both in zip(said, written, strict=True)]
    return found


def error_slices(run: FinishedRun) -> Html:
    """The error rate by length, noise, speaker and whatever else the manifest says of its utterances."""
    if run.evaluation is None:
        return Html()
    parts: list[Content] = []
    for column in _columns(run.manifests["test"]):
        try:
            found = slices(run.evaluation, column)
        except DataError as error:
            parts.append(element("p", f"Not by {column}: {error}.", class_="about"))
            continue
        if len(found) > 1:
            parts.append(_slices(column, found))
    return section("Error rate by slice", element("div", *parts, class_="row slices")) if parts else Html()


def _columns(test: Manifest) -> list[str]:
    """What divides the test split in parts that hold more than an utterance or two."""
    noted = {name for utterance in test for name in utterance.extra}
    estimated = sum(utterance.duration or _MOST_ESTIMATED_S for utterance in test) <= _MOST_ESTIMATED_S
    told = [name for name in sorted(noted) if name not in ("duration", "snr") and _divides(test, name)]
    snr = ["snr"] if estimated or "snr" in noted else []
    speaker = ["speaker"] if any(utterance.speaker for utterance in test) else []
    return ["duration", *snr, *speaker, *told]


def _divides(test: Manifest, column: str) -> bool:
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


def _utterance(run: FinishedRun, result: Result, clips: Clips) -> Html:
    player = clips.player(result.utterance) if run.evaluation else None
    return element(
        "article",
        element("p", _title(result, run.evaluation), class_="about"),
        player,
        element("p", *_difference(result), class_="words", dir="auto"),
        _untouched(run, result),
    )


def _title(result: Result, evaluation: Evaluation | None) -> str:
    length = len(result.pair.reference) if result.pair else 0
    errors = f"{result.errors} error{'' if result.errors == 1 else 's'}"
    counted = f"{errors} in {length} word{'' if length == 1 else 's'}" if result.pair else ""
    about = [counted, result.utterance.audio, *(_about(result.utterance) if evaluation else [])]
    return " · ".join(part for part in about if part)


def _about(utterance: Utterance) -> list[str]:
    start = f"from {utterance.start:g} s" if utterance.start else ""
    duration = f"{utterance.duration:.1f} s" if utterance.duration else ""
    return [start, duration, utterance.speaker or ""]


def _difference(result: Result) -> list[Html]:
    if result.pair is None:
        return [_word(result.reference, result.hypothesis, "s")]
    return [_word(*one) for one in aligned_words(result.pair)]


def _untouched(run: FinishedRun, result: Result) -> Html | None:
    if run.before is None or not run.evaluation:
        return None
    return element("p", "before adaptation: ", element("q", run.before.texts[result.place], dir="auto"), class_="about")


def _word(said: str, written: str, kind: str) -> Html:
    """One above the other; what is not there is a dash that nobody reads aloud."""
    both = (
        element("span", word) if word else element("span", "\u2013", aria_hidden="true") for word in (said, written)
    )
    return join([element("span", *both, class_=f"w {kind}".strip()), " "])
