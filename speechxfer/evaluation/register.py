"""The register of metrics: figures of a whole test set, from this package and from packages of others.

A package adds one by an entry point of the group `speechxfer.metrics` that names a `Metric`. Its figure then stands in
what `evaluate` prints and writes, in a run's metrics, on its page and on the model card.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from speechxfer.registry import PluginWarning, Register

if TYPE_CHECKING:
    from speechxfer.evaluation.results import Evaluation


@dataclass(frozen=True)
class Metric:
    """A figure of a whole test set."""

    #: Whether it is a figure of texts or of classes.
    task: Literal["transcription", "classification"]
    #: From the results of all utterances (each with `reference`, `prediction` and, of texts, the aligned `pair`) to a
    #: number, or to None where it cannot be computed.
    compute: Callable[[Evaluation], float | None]
    #: In tables and on axes.
    title: str
    #: In a sentence, without a period.
    meaning: str = ""
    lower_is_better: bool = True
    #: Whether it stands on the page and the model card, or only in JSON.
    in_report: bool = True
    #: The name of the metric on the Hugging Face hub, where it is another one.
    hub_name: str | None = None

    @property
    def explanation(self) -> str:
        """What the figure is, and which way is better; empty where there is no meaning."""
        better = "lower" if self.lower_is_better else "higher"
        return f"{self.title}: {self.meaning}; {better} is better." if self.meaning else ""


def _score(name: str) -> Callable[[Evaluation], float]:
    """A figure that the scores have already."""
    return lambda evaluation: float(getattr(evaluation.scores, name))


#: The first of a task is the one that a run is judged by.
METRICS = Register(
    "metric",
    Metric,
    group="speechxfer.metrics",
    builtin={
        "wer": Metric("transcription", _score("wer"), "WER", "word errors per word of the reference"),
        "cer": Metric("transcription", _score("cer"), "CER", "character errors per character of the reference"),
        "mer": Metric("transcription", _score("mer"), "MER", "word errors per place of the alignment", in_report=False),
        "wil": Metric("transcription", _score("wil"), "WIL", "word information lost", in_report=False),
        "word_calibration_error": Metric(
            "transcription", lambda evaluation: evaluation.reliability.error if evaluation.reliability else None,
            "calibration error of words", "the expected distance of a word's confidence and its correctness",
            in_report=False,
        ),
        "accuracy": Metric(
            "classification", _score("accuracy"), "accuracy", "the fraction of utterances with the right class",
            lower_is_better=False,
        ),
        "macro_f1": Metric(
            "classification", _score("macro_f1"), "macro-F1", "the mean F1 of the classes", lower_is_better=False,
            hub_name="f1",
        ),
        "micro_f1": Metric(
            "classification", _score("micro_f1"), "micro-F1", "F1 over all decisions", lower_is_better=False,
            in_report=False, hub_name="f1",
        ),
        "cross_entropy": Metric(
            "classification", _score("cross_entropy"), "cross-entropy", "the mean negative log-likelihood, in nats",
            in_report=False,
        ),
        "calibration_error": Metric(
            "classification", _score("calibration_error"), "calibration error",
            "the expected distance of confidence and accuracy", in_report=False,
        ),
    },
)  # fmt: skip


def reported(task: str) -> dict[str, Metric]:
    """The metrics of a task that stand on the page, the most important one first."""
    return {name: metric for name, metric in METRICS.items() if metric.task == task and metric.in_report}


def computed(evaluation: Evaluation) -> dict[str, float]:
    """All metrics of an evaluation's task; one that fails is left out, with a `PluginWarning` that names it."""
    found = {}
    for name, metric in METRICS.items():
        if metric.task != evaluation.task:
            continue
        try:
            value = metric.compute(evaluation)
        except Exception as error:  # whatever somebody else's function raises
            reason = f"{type(error).__name__}: {error}"
            warnings.warn(PluginWarning(f"the metric {name!r} is left out, it fails ({reason})"), stacklevel=2)
            continue
        if value is not None:
            found[name] = float(value)
    return found
