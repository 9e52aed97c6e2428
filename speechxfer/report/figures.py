"""Figures of a run in words, for the page and the model card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speechxfer.evaluation.register import Metric, reported
from speechxfer.report.markup import Html, element, join, rated
from speechxfer.report.run import FinishedRun

#: Of `language_model_rows`.
LANGUAGE_MODEL_COLUMNS = ("", "WER, greedy", "WER, with language model", "CER, greedy", "CER, with language model")


def headline(run: FinishedRun) -> Html:
    """The first thing to see."""
    figure, metric = next(iter(metrics(run).items()))
    after, dev = run.metrics.get("after"), run.metrics.get("dev")
    if after:
        return join([_big(figure, metric, after), element("p", measured_on(run), class_="about")])
    if dev:
        text = "on dev, which also chose the epoch and so flatters the model; a run with --test gives a fair figure"
        return join([_big(figure, metric, known(dev)), element("p", text, class_="about")])
    done = f"{len(run.history)} of {run.config.training.epochs} epochs are done"
    text = f"This run has not ended: {done}, and nothing has been measured on the test split."
    return element("p", text, class_="about")


def metrics(run: FinishedRun) -> dict[str, Metric]:
    """The metrics that are shown, by name, the one that the run is judged by first.

    Those that the run has measured; all where it has measured nothing yet.
    """
    measured = run.metrics.get("after") or known(run.metrics.get("dev", {}))
    found = reported("classification" if run.is_classifier else "transcription")
    return {name: metric for name, metric in found.items() if name in measured} or found


def known(scores: Mapping[str, Any]) -> Mapping[str, Any]:
    """Scores with the accuracy that goes with an error."""
    return {"accuracy": 1.0 - scores["error"], **scores} if "error" in scores else scores


def part_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """How much of a split the pre-trained model was measured on, in words; "" for all of it or none."""
    count, whole = before.get("utterances"), after.get("utterances")
    return f" ({count} of {whole} utterances)" if before and count != whole else ""


def measured_on(run: FinishedRun) -> str:
    """The test split, the interval's method and the normalizer, in a sentence."""
    after = run.metrics["after"]
    words = f"{after['words']} words in " if "words" in after else ""
    name = Path(run.config.test or "").name
    text = f"{words}{after['utterances']} utterances of {name}"
    normalizer = f"; normalizer {after['normalizer']}" if "normalizer" in after else ""
    intervals = after.get("intervals")
    if not intervals:
        return f"{text}{normalizer}"
    note = f"; {intervals['note']}" if intervals["note"] else ""
    if not intervals["bounds"]:
        return f"{text}{normalizer}; no interval{note.replace(';', ':', 1)}"
    method = f"{intervals['method']} over {intervals['count']} {intervals['unit']}s"
    return f"{text}{normalizer}; {intervals['level']:.0%} interval: {method}{note}"


def bounds(scores: Mapping[str, Any], name: str) -> Sequence[float] | None:
    """The ends of a figure's interval, where it has one."""
    found: Sequence[float] | None = scores.get("intervals", {}).get("bounds", {}).get(name)
    return found


def language_model_rows(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Error rates of greedy decoding and of decoding with the language model, by split; none without a language model.

    Args:
        found: the figures of a run.
    """
    scores = found.get("language_model", {}).get("scores", {})
    return [
        (split, *(f"{both[way][name]:.3f}" for name in ("wer", "cer") for way in ("greedy", "fused")))
        for split, both in scores.items()
    ]


def _big(name: str, metric: Metric, scores: Mapping[str, Any]) -> Html:
    return element("p", element("span", metric.title), " ", rated(scores[name], bounds(scores, name)), class_="big")


def clock(seconds: float | None) -> str:
    """Hours, minutes and seconds; "" where they are not known."""
    if seconds is None:
        return ""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
