"""Notices that a run goes wrong, and names the likely cause and what helps. Numbers in, alarms out."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

#: Gradient norms that are kept, and how many are needed before one can be called unusual.
_WINDOW, _ENOUGH = 50, 20
#: A healthy norm varies by a factor of a few, at the start of training of ten; clipping hides single outliers, so
#: several in a row are asked for.
_EXPLODING, _IN_A_ROW = 50.0, 5
#: A norm below this is not even clipped by default: late in training, where norms are tiny, a hard batch may be
#: hundreds of times harder than the others and harm nothing.
_HARMLESS_NORM = 1.0
#: An epoch's mean loss this many times the lowest one: what had been learned is being lost. Healthy runs on little data
#: were seen to jump by 1.37.
_DIVERGING = 1.5
#: Below this loss a label most characters are right (exp(-0.5) = 0.6): a run that has come here has learned, however
#: its loss jumps (from 0.01 to 0.11 with no error on dev was seen) or stands still.
_LEARNED = 0.5
#: Epochs over which the loss must have stood still, and how still. CTC begins with empty transcripts while its loss
#: falls quickly, then slowly: only when it no longer falls has it collapsed.
_STILL_EPOCHS, _STILL = 4, 0.02
#: Fraction of empty transcripts, or of predictions of one class, from which on a model counts as collapsed.
_IDLE = 0.99
#: A relative error (see `Guard.epoch`) above this means that the model has not learned anything yet.
_UNTRAINED = 0.95


@dataclass(frozen=True)
class Alarm:
    """Something is wrong: what was seen, the likely cause, what to do."""

    kind: str
    seen: str
    cause: str
    fix: str
    #: Whether going on from here is pointless.
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.seen}. Likely cause: {self.cause}. Try: {self.fix}"


@dataclass
class Guard:
    """Watches the steps and epochs of one run; its fields are plain values, kept in checkpoints."""

    norms: list[float] = field(default_factory=list)
    high: int = 0
    losses: list[float] = field(default_factory=list)
    #: Alarms that still hold, so that each is reported once.
    reported: list[str] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """All fields as JSON values; `Guard(**state)` goes on from there."""
        return asdict(self)

    def step(self, step: int, loss: float, norm: float, lines: str = "") -> Alarm | None:
        """After each step: its loss per label, its gradient norm before clipping, the manifest lines it was made of."""
        if not (math.isfinite(loss) and math.isfinite(norm)):
            seen = f"step {step}: the loss is {loss:g} and the gradient's norm {norm:g}"
            cause = f"a learning rate that is too high, or damaged audio or text ({lines or 'in this batch'})"
            fix = "half the learning rates (--encoder-lr, --head-lr), a longer --set training.warmup_ratio=0.2"
            return Alarm("not a number", seen, cause, fix, fatal=True)
        usual = statistics.median(self.norms) if len(self.norms) >= _ENOUGH else math.inf
        exploding = norm > max(_EXPLODING * usual, _HARMLESS_NORM)
        self.high = self.high + 1 if exploding else 0
        if not exploding:
            self.norms = [*self.norms[1 - _WINDOW :], norm]
        if not self._is_new("exploding gradients", self.high >= _IN_A_ROW):
            return None
        return Alarm(
            "exploding gradients",
            f"step {step}: the gradient's norm is {norm:.3g}, the usual one {usual:.3g}, "
            f"for {_IN_A_ROW} steps in a row",
            "a learning rate that is too high for the layers that are trained",
            "half of --encoder-lr, fewer layers (--train-top), or --set training.max_grad_norm=0.3",
        )

    def epoch(
        self, epoch: int, loss: float, error: float, idle_fraction: float, *, of_classes: bool = False
    ) -> Alarm | None:
        """After each epoch: its mean loss per label, and the scores on dev.

        Args:
            error: on dev, relative to the error of a model that ignores the audio: of empty transcripts, or of always
                predicting the most frequent class.
            idle_fraction: of dev's utterances, those with an empty transcript, or of the one most predicted class.
            of_classes: whether the head is a classifier.
        """
        # An epoch whose validation was interrupted is shown again.
        self.losses = [*self.losses[: epoch - 1], loss]
        recent, lowest = self.losses[-_STILL_EPOCHS:], min(self.losses)
        still = len(recent) == _STILL_EPOCHS and max(recent) - min(recent) < _STILL * max(recent)
        if self._is_new("divergence", loss > max(_DIVERGING * lowest, _LEARNED)):
            return _divergence(epoch, loss, lowest, self.losses.index(lowest) + 1)
        idle, untrained = idle_fraction >= _IDLE, error >= _UNTRAINED
        kind, describe = ("collapse to one class", _one_class) if of_classes else ("collapse to blanks", _blanks)
        if self._is_new(kind, still and idle and untrained):
            return describe(epoch, loss, idle_fraction)
        if self._is_new("plateau", still and untrained and loss > _LEARNED and not idle):
            return _plateau(epoch, loss, error)
        return None

    def _is_new(self, kind: str, holds: bool) -> bool:
        """Whether this holds now and did not before."""
        new = holds and kind not in self.reported
        self.reported = [other for other in self.reported if other != kind] + [kind] * holds
        return new


def _divergence(epoch: int, loss: float, lowest: float, lowest_epoch: int) -> Alarm:
    return Alarm(
        "divergence",
        f"epoch {epoch}: the loss is {loss:.3g}, but was {lowest:.3g} in epoch {lowest_epoch}",
        "a learning rate that is too high once warm-up is over",
        "half the learning rates (--encoder-lr, --head-lr)",
    )


def _one_class(epoch: int, loss: float, idle_fraction: float) -> Alarm:
    return Alarm(
        "collapse to one class",
        f"epoch {epoch}: {idle_fraction:.0%} of dev are called the same class, and the loss stands at {loss:.3g} for "
        f"{_STILL_EPOCHS} epochs",
        "too high a rate, classes of very different sizes, or labels that do not belong to their audio",
        "half the learning rates (--head-lr, --encoder-lr), --set classification.class_weights=true, more "
        "trained layers (--train-top); listen to some training lines",
    )


def _blanks(epoch: int, loss: float, idle_fraction: float) -> Alarm:
    return Alarm(
        "collapse to blanks",
        f"epoch {epoch}: nothing is written for {idle_fraction:.0%} of dev, and the loss stands at {loss:.3g} for "
        f"{_STILL_EPOCHS} epochs",
        "too few steps or too low a rate for the head to leave the blank, or texts that do not belong to their audio",
        "smaller batches (--batch-seconds) or more epochs, twice the --head-lr, more trained layers (--train-top); "
        "listen to some training lines",
    )


def _plateau(epoch: int, loss: float, error: float) -> Alarm:
    return Alarm(
        "plateau",
        f"epoch {epoch}: the loss stands at {loss:.3g} for {_STILL_EPOCHS} epochs with {error:.0%} of the errors on "
        "dev that not listening would make",
        "too little of the model is trained for audio this far from what it knows, or texts or labels that do not "
        "belong to their audio",
        "more trained layers (--train-top), twice the learning rates; listen to some training lines",
    )
