"""Notices that a run goes wrong, and says what is likely to be the cause and what helps. Numbers in, words out."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

#: Gradient norms remembered, and how many are needed before one can be called unusual.
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
#: Epochs over which the loss must have stood still, and how still. CTC begins by writing nothing while its loss falls
#: quickly, then slowly: only when it no longer falls has it collapsed.
_STILL_EPOCHS, _STILL = 4, 0.02
#: Share of empty transcripts that counts as silence, and of one class that counts as knowing no other.
_IDLE = 0.99
#: A share of the error without listening above this means that nothing has been learned yet.
_NOTHING_LEARNED = 0.95


@dataclass(frozen=True)
class Alarm:
    """Something is wrong: what was seen, why that is likely, what to do."""

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
    #: Alarms that still hold, so that each is told once.
    told: list[str] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """Everything remembered, as JSON values; `Guard(**state)` goes on from there."""
        return asdict(self)

    def step(self, step: int, loss: float, norm: float, lines: str = "") -> Alarm | None:
        """After each step: its loss a label, the norm of its gradient before clipping, the lines it was made of."""
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
        if not self._news("exploding gradients", self.high >= _IN_A_ROW):
            return None
        return Alarm(
            "exploding gradients",
            f"step {step}: the gradient's norm is {norm:.3g}, the usual one {usual:.3g}, "
            f"for {_IN_A_ROW} steps in a row",
            "a learning rate that is too high for the layers that are trained",
            "half of --encoder-lr, fewer layers (--train-top), or --set training.max_grad_norm=0.3",
        )

    def epoch(
        self, epoch: int, loss: float, error: float, idle_share: float, *, of_classes: bool = False
    ) -> Alarm | None:
        """After each epoch: its mean loss a label, and how dev fares.

        Args:
            error: on dev, as a share of what is reached without listening: by writing nothing, or by always naming
                the most frequent class.
            idle_share: the share of dev's utterances without a word, or that are called the same class.
            of_classes: whether it is classes that are learned.
        """
        self.losses = [*self.losses, loss]
        recent = self.losses[-_STILL_EPOCHS:]
        still = len(recent) == _STILL_EPOCHS and max(recent) - min(recent) < _STILL * max(recent)
        lowest = min(self.losses)
        if self._news("divergence", loss > max(_DIVERGING * lowest, _LEARNED)):
            return Alarm(
                "divergence",
                f"epoch {epoch}: the loss is {loss:.3g}, but was {lowest:.3g} in epoch {self.losses.index(lowest) + 1}",
                "a learning rate that is too high once warm-up is over",
                "half the learning rates (--encoder-lr, --head-lr)",
            )
        idle = idle_share >= _IDLE
        stands = f"and the loss stands at {loss:.3g} for {_STILL_EPOCHS} epochs"
        collapsed = still and idle and error >= _NOTHING_LEARNED
        if of_classes and self._news("collapse to one class", collapsed):
            return Alarm(
                "collapse to one class",
                f"epoch {epoch}: {idle_share:.0%} of dev are called the same class, {stands}",
                "too high a rate, classes of very different sizes, or labels that do not belong to their audio",
                "half the learning rates (--head-lr, --encoder-lr), --set classification.class_weights=true, more "
                "trained layers (--train-top); listen to some training lines",
            )
        if not of_classes and self._news("collapse to blanks", collapsed):
            return Alarm(
                "collapse to blanks",
                f"epoch {epoch}: nothing is written for {idle_share:.0%} of dev, {stands}",
                "too few steps or too low a rate for the head to leave the blank, or texts that do not belong to their "
                "audio",
                "smaller batches (--batch-seconds) or more epochs, twice the --head-lr, more trained layers "
                "(--train-top); listen to some training lines",
            )
        stuck = still and loss > _LEARNED and error >= _NOTHING_LEARNED and not idle
        if self._news("plateau", stuck):
            return Alarm(
                "plateau",
                f"epoch {epoch}: the loss stands at {loss:.3g} for {_STILL_EPOCHS} epochs with {error:.0%} of the "
                "errors on dev that not listening would make",
                "too little of the model is trained for audio this far from what it knows, or texts or labels that do "
                "not belong to their audio",
                "more trained layers (--train-top), twice the learning rates; listen to some training lines",
            )
        return None

    def _news(self, kind: str, holds: bool) -> bool:
        """Whether this begins to hold now."""
        new = holds and kind not in self.told
        self.told = [other for other in self.told if other != kind] + [kind] * holds
        return new
