"""The utterances with the most errors."""

from __future__ import annotations

from speechxfer.data.manifest import Utterance
from speechxfer.evaluation.predictions import aligned_words
from speechxfer.evaluation.results import Result
from speechxfer.report.clips import Clips
from speechxfer.report.markup import Html, element, join, section
from speechxfer.report.run import FinishedRun

#: How many are shown.
_UTTERANCES = 12


def worst_utterances(run: FinishedRun) -> Html:
    """Each with its sound, and its reference aligned with the prediction."""
    clips = Clips()
    before = {one.utterance.id: one.hypothesis for one in run.before.results} if run.before else {}
    shown = [_utterance(result, before.get(result.utterance.id), clips) for result in run.worst[:_UTTERANCES]]
    if not shown:
        return Html()
    if run.is_classifier:
        legend = element("p", "Above the class that it is, below the one it was taken for.", class_="legend")
        return section("Wrong utterances", legend, *shown)
    pairs = (("same", "same"), ("said", "other"), ("missing", None), (None, "extra"))
    explained = "Above what was said, below what was written: "
    legend = element("p", explained, *(_word(*pair) for pair in pairs), class_="legend")
    return section("Worst utterances", legend, *shown)


def _utterance(result: Result, before: str | None, clips: Clips) -> Html:
    pretrained = ("before adaptation: ", element("q", before or "", dir="auto"))
    return element(
        "article",
        element("p", _title(result), class_="about"),
        clips.player(result.utterance),
        element("p", *_difference(result), class_="words", dir="auto"),
        element("p", *pretrained, class_="about") if before is not None else None,
    )


def _title(result: Result) -> str:
    length = len(result.pair.reference) if result.pair else 0
    errors = f"{result.errors} error{'' if result.errors == 1 else 's'}"
    counted = f"{errors} in {length} word{'' if length == 1 else 's'}" if result.pair else ""
    return " · ".join(part for part in (counted, result.utterance.audio, *_about(result.utterance)) if part)


def _about(utterance: Utterance) -> list[str]:
    start = f"from {utterance.start:g} s" if utterance.start else ""
    duration = f"{utterance.duration:.1f} s" if utterance.duration else ""
    return [start, duration, utterance.speaker or ""]


def _difference(result: Result) -> list[Html]:
    if result.pair is None:
        return [_word(result.reference, result.hypothesis)]
    return [_word(*pair) for pair in aligned_words(result.pair)]


def _word(reference: str | None, hypothesis: str | None) -> Html:
    """One above the other; a word that is missing is a dash that screen readers skip."""
    both = (
        element("span", word) if word else element("span", "\u2013", aria_hidden="true")
        for word in (reference, hypothesis)
    )
    kind = "" if reference == hypothesis else "i" if reference is None else "d" if hypothesis is None else "s"
    return join([element("span", *both, class_=f"w {kind}".strip()), " "])
