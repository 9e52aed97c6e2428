"""All that was measured, as a table, and the verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from speechxfer.report.figures import LANGUAGE_MODEL_COLUMNS, bounds, known, language_model_rows, metrics, part_of
from speechxfer.report.markup import Content, Html, element, rated, section, table
from speechxfer.report.run import FinishedRun


def results(run: FinishedRun) -> Html:
    """A table of all that was measured, and the verdicts."""
    shown, scratch, retained = metrics(run), run.metrics.get("scratch") or {}, run.metrics.get("retained") or {}
    test, dev = ("test", "dev") if "after" in run.metrics else ("", "dev, best epoch")
    before, after = run.metrics.get("before") or {}, run.metrics.get("after") or {}
    earlier, later = (retained.get(name) or {} for name in ("before", "after"))
    measured = [
        (f"before adaptation{part_of(before, after)}", test, before),
        ("trained from scratch", test, scratch.get("after")),
        ("adapted", test, after),
        ("trained from scratch", dev, scratch.get("dev")),
        ("adapted", dev, run.metrics.get("dev")),
        (f"before adaptation{part_of(earlier, later)}", "retain", earlier),
        ("adapted", "retain", later),
    ]
    rows = [
        (what, where, *(_cell(known(scores), name) for name in shown)) for what, where, scores in measured if scores
    ]
    if not rows:
        return Html()
    found = table(("", "on", *(metric.title for metric in shown.values())), rows)
    meanings = " ".join(metric.explanation for metric in shown.values())
    return section(
        "Results",
        found,
        *_language_model(run),
        element("p", meanings, class_="legend"),
        *(element("p", verdict) for verdict in _verdicts(run)),
    )


def _language_model(run: FinishedRun) -> Iterator[Content]:
    """Greedy decoding and decoding with the language model side by side."""
    if rows := language_model_rows(run.metrics):
        yield table(LANGUAGE_MODEL_COLUMNS, rows, numbers=(1, 2, 3, 4))


def _cell(scores: Mapping[str, Any], name: str) -> Content:
    return rated(scores[name], bounds(scores, name)) if name in scores else ""


def _verdicts(run: FinishedRun) -> Iterator[str]:
    """What the run itself concluded, and how the utterances fell."""
    found = run.comparison
    for note in run.metrics.get("notes", [found["verdict"]] if found else []):
        yield f"{note[:1].upper()}{note[1:]}"
    if found:
        wins, losses, drawn = found["wins"], found["losses"], found["bootstrap"]
        method = f" Paired bootstrap over {drawn['count']} {drawn['unit']}s." if drawn else ""
        same = found["utterances"] - wins - losses
        yield f"Fewer errors in {wins} utterances, more in {losses}, as many in {same}.{method}"
