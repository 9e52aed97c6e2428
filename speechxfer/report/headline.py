"""What the run came to: the figure with its interval, before and after, and what can be said of the difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechxfer.report.markup import Content, Html, element, join, rated, section, table
from speechxfer.report.run import FinishedRun

_FIGURES = {"transcription": ("wer", "cer"), "classification": ("accuracy", "macro_f1")}
NAMES = {"wer": "WER", "cer": "CER", "accuracy": "accuracy", "macro_f1": "macro-F1"}


def headline(run: FinishedRun) -> Html:
    """The first thing to see."""
    figure = figures(run)[0]
    after, dev = run.metrics.get("after"), run.metrics.get("dev")
    if after:
        return join([_big(figure, after), element("p", measured_on(run), class_="about")])
    if dev:
        told = "on dev, which also chose the epoch and so flatters the model; a run with --test says more"
        return join([_big(figure, known(dev)), element("p", told, class_="about")])
    done = f"{len(run.epochs)} of {run.config.training.epochs} epochs are done"
    told = f"This run has not ended: {done}, and nothing has been measured on the test split."
    return element("p", told, class_="about")


def results(run: FinishedRun) -> Html:
    """A table of all that was measured, and the verdicts."""
    names, scratch, retained = figures(run), run.metrics.get("scratch") or {}, run.metrics.get("retained") or {}
    test, dev = ("test", "dev") if "after" in run.metrics else ("", "dev, best epoch")
    measured = [
        ("before adaptation", test, run.metrics.get("before")),
        ("trained from scratch", test, scratch.get("after")),
        ("adapted", test, run.metrics.get("after")),
        ("trained from scratch", dev, scratch.get("dev")),
        ("adapted", dev, run.metrics.get("dev")),
        ("before adaptation", "retain", retained.get("before")),
        ("adapted", "retain", retained.get("after")),
    ]
    rows = [
        (what, where, *(_cell(known(scores), name) for name in names)) for what, where, scores in measured if scores
    ]
    if not rows:
        return Html()
    found = table(("", "on", *(NAMES[name] for name in names)), rows)
    return section("Results", found, *(element("p", said) for said in _verdicts(run)))


def figures(run: FinishedRun) -> tuple[str, str]:
    """The two figures that a run is told by, the more telling one first."""
    first, second = _FIGURES["classification" if run.is_classifier else "transcription"]
    return first, second


def known(scores: Mapping[str, Any]) -> Mapping[str, Any]:
    """Scores with the accuracy that goes with an error."""
    return {"accuracy": 1.0 - scores["error"], **scores} if "error" in scores else scores


def measured_on(run: FinishedRun) -> str:
    """The test split, the interval's method and the normaliser, in a sentence."""
    after = run.metrics["after"]
    words = f"{after['words']} words in " if "words" in after else ""
    name = Path(run.config.test or "").name
    told = f"{words}{after['utterances']} utterances of {name}"
    normalizer = f"; normaliser {after['normalizer']}" if "normalizer" in after else ""
    intervals = after.get("intervals")
    if not intervals:
        return f"{told}{normalizer}"
    note = f"; {intervals['note']}" if intervals["note"] else ""
    if not intervals["bounds"]:
        return f"{told}{normalizer}; no interval{note.replace(';', ':', 1)}"
    method = f"{intervals['method']} over {intervals['count']} {intervals['unit']}s"
    return f"{told}{normalizer}; {intervals['level']:.0%} interval: {method}{note}"


def bounds(scores: Mapping[str, Any], name: str) -> Sequence[float] | None:
    """The ends of a figure's interval, where it has one."""
    found: Sequence[float] | None = scores.get("intervals", {}).get("bounds", {}).get(name)
    return found


def _big(name: str, scores: Mapping[str, Any]) -> Html:
    return element("p", element("span", NAMES[name]), " ", rated(scores[name], bounds(scores, name)), class_="big")


def _cell(scores: Mapping[str, Any], name: str) -> Content:
    return rated(scores[name], bounds(scores, name)) if name in scores else ""


def _verdicts(run: FinishedRun) -> Iterator[str]:
    """What the run itself concluded, and how the utterances fell."""
    found = run.comparison()
    for note in run.metrics.get("notes", [found.verdict()] if found else []):
        yield f"{note[:1].upper()}{note[1:]}"
    if found:
        same = found.utterances - len(found.differing)
        by = f" Paired bootstrap over {found.bootstrap.count} {found.bootstrap.unit}s." if found.bootstrap else ""
        yield f"Fewer errors in {found.wins} utterances, more in {found.losses}, as many in {same}.{by}"
