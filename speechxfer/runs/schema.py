"""What the files of a run hold.

Every JSON object in them also has a "version". It is `VERSION` for all of them: they are written by one process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypedDict

VERSION = 1

#: One line of the history: "epoch" (counted from 1), "step", "loss", and further figures by name ("dev_wer").
Epoch: TypeAlias = dict[str, float]


@dataclass(frozen=True)
class PlanTable:
    """Which parts were frozen and which were trained, as a table."""

    #: Trained parameters, and all.
    trained: int
    total: int
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Environment:
    """What a run was computed with."""

    #: Versions of packages, the device and so on, by name.
    facts: Mapping[str, str]
    #: The command that started the run.
    command: str


@dataclass(frozen=True)
class Split:
    """A manifest that a run used: a name for its content, and how much it holds."""

    digest: str
    utterances: int
    #: Of audio; None where a file cannot be read.
    seconds: float | None = None
    words: int = 0
    #: Different speakers; 0 where no utterance has one.
    speakers: int = 0
    #: The code of the language, where all utterances have the same one.
    language: str | None = None


@dataclass(frozen=True)
class Sources:
    """The model and the manifests that a run began with, by content."""

    #: A digest of the model's weights and configuration.
    model: str
    #: By setting: "train", "dev", "test", "retain", "unlabeled", "retention.replay".
    splits: Mapping[str, Split] = field(default_factory=dict)
    #: A digest of the file that the language model is or learns from; None where there is none.
    language_model: str | None = None

    def __post_init__(self) -> None:
        made = {name: Split(**one) if isinstance(one, dict) else one for name, one in self.splits.items()}
        object.__setattr__(self, "splits", made)

    @property
    def digests(self) -> dict[str, str]:
        """By setting, "model" among them."""
        words = {"language_model": self.language_model} if self.language_model else {}
        return {"model": self.model, **{name: split.digest for name, split in self.splits.items()}, **words}


@dataclass(frozen=True)
class Allotment:
    """What a run with a limit of time uses of its data, and what its parts were measured to cost at its beginning."""

    #: Seconds that were given.
    given_s: float
    #: Passes over the training set that there is time for where nothing of it is kept; may be a fraction.
    passes: float
    #: Utterances of dev that are measured after each epoch.
    dev: int
    #: Fraction of test and of retain that the pre-trained model is measured on as well.
    pretrained: float
    #: Seconds that are left for what comes after the last epoch, and that measuring dev takes.
    after_s: float
    dev_s: float
    #: Seconds of a step below the seam and above it, in the first epochs and in the last ones.
    first_step_s: Sequence[float]
    last_step_s: Sequence[float]


@dataclass(frozen=True)
class SelfTraining:
    """What became of the recordings without text in a run, and which model does better on dev."""

    #: All recordings, those whose predictions are used in training, and the others by the reason why they are not.
    recordings: int
    kept: int
    left_out: Mapping[str, int]
    #: Of all recordings that can be read, and of those that are used.
    seconds: float
    kept_seconds: float
    #: The least confidence and agreement of a prediction that is used.
    least_confidence: float
    least_agreement: float
    #: Seconds of the job that had gone by when all this was known.
    used_s: float
    #: Scores on dev, by name; None until the student is trained.
    teacher: Mapping[str, float] | None = None
    student: Mapping[str, float] | None = None
    #: Whether the run's model is the student.
    helps: bool = False


@dataclass(frozen=True)
class InterpolationPoint:
    """A model between the pre-trained and the adapted one, and its scores."""

    #: The fraction of the adapted weights: 0 is the pre-trained model, 1 the adapted one.
    alpha: float
    #: Scores by name; the first is the error rate that decides.
    dev: Mapping[str, float]
    retain: Mapping[str, float] | None = None


@dataclass(frozen=True)
class InterpolationCurve:
    """Points by rising alpha."""

    points: Sequence[InterpolationPoint]
    #: Whether all points have the adapted head, because the run began with a new one.
    encoder_only: bool = False

    def __post_init__(self) -> None:
        made = tuple(InterpolationPoint(**one) if isinstance(one, dict) else one for one in self.points)
        object.__setattr__(self, "points", made)


class Metrics(TypedDict, total=False):
    """The figures of a finished run. Scores are those of `Evaluation.to_dict`."""

    #: The best epoch's scores on dev, by name.
    dev: Mapping[str, float]
    #: Counted from 1.
    best_epoch: int
    #: Epochs and optimizer steps that were done.
    epochs: int
    steps: int
    #: Seconds spent by "prefix" (computing the frozen layers), "training", "dev", and "after" the last epoch (a
    #: language model, confidences).
    seconds: Mapping[str, float]
    #: From which epoch on dev's loss rose, where it did.
    overfitting: Mapping[str, Any]
    #: Scores of the pre-trained and the adapted model on the test split.
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    #: The adapted against the pre-trained model on the test split, as `Comparison.to_dict` has it.
    comparison: Mapping[str, Any]
    #: "before", "after" and "verdict" on what is to be retained.
    retained: Mapping[str, Any]
    #: Of the run's language model: whether it was "kept", its "weights", and "scores" by split ("dev", "test"), decoded
    #: "greedy" and "with language model".
    language_model: Mapping[str, Any]
    #: Of the confidences of words: "slope" and "offset", and the expected calibration error on "dev", "before" and
    #: "after".
    calibration: Mapping[str, Any]
    #: What became of recordings without text, as `SelfTraining` has it.
    self_training: Mapping[str, Any]
    #: The same shape trained from scratch.
    scratch: Mapping[str, Any]
    #: Conclusions about the run, in sentences.
    notes: Sequence[str]
