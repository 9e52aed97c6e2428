"""A run that ends in a given time: how many steps its epochs have, and what stops it where it would last too long."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from speechxfer.config import TrainingConfig
from speechxfer.config.durations import in_words, seconds
from speechxfer.runs import Allotment
from speechxfer.training.callbacks.base import Callback
from speechxfer.training.state import TrainingState
from speechxfer.transfer.plan import TransferPlan

#: Epochs of a run with a limit of time, so how often dev is measured.
EPOCHS = 12
#: Fraction of the time that is planned for; the rest is for what measurements of a few steps do not show.
PLANNED = 0.97
#: The number of steps is changed where the forecast misses the time by more than this fraction of it.
_TOLERANCE = 0.02
#: A run that has used this fraction of its time stops in the middle of an epoch.
_MOST = 1.02


def given_s(training: TrainingConfig) -> float:
    """The seconds of the whole job."""
    return seconds(training.time, "training.time")


class TimeLimit(Callback):
    """Gives every epoch as many steps as fit, the same number unless the machine turns out to be faster or slower.

    So the learning rate falls to 0 at the end of the time. What it decides is in every checkpoint, so that a run that
    was killed goes on with the same steps.

    Args:
        allotment: what was measured at the beginning.
        started: when the job began, by `time.monotonic`.
        plan: which parts are trained from which epoch on.
        is_live: whether the training set is computed below the seam in every step, and not kept.
    """

    def __init__(self, allotment: Allotment, started: float, plan: TransferPlan, *, is_live: bool) -> None:
        self._given, self._after_s, self._dev_s = allotment.given_s, allotment.after_s, allotment.dev_s
        self._started = started
        #: Seconds of a step in the first epochs and in the last ones, as measured at the beginning.
        self._costs = [below * is_live + above for below, above in (allotment.first_step_s, allotment.last_step_s)]
        #: From which epoch on the last ones count.
        self._changed = min((epoch for epoch in plan.first_epochs if epoch), default=0)
        self._is_begun = False
        #: Seconds of training and of dev, and steps of the epoch, when this process began with the epoch.
        self._before = (0.0, 0.0, 0)

    @property
    def elapsed_s(self) -> float:
        """Seconds of the whole job so far, those of an earlier process among them."""
        return time.monotonic() - self._started

    def on_begin(self, state: TrainingState) -> None:
        """From here on, what is loaded is an earlier state of this process."""
        self._is_begun = True

    def on_epoch_begin(self, state: TrainingState) -> None:
        """Set the number of steps, in the first epoch, or where the forecast is off; not in the middle of an epoch."""
        position = state.position
        self._before = (position.training_s, position.dev_s, position.batch)
        if position.batch:
            return
        decided = self._decided(position.epoch, position.steps_per_epoch)
        steps = state.world.gather({state.world.rank: decided})[0]  # every process has its own clock
        if steps != position.steps_per_epoch:
            self._report(state, steps)
        position.steps_per_epoch = state.steps_in_epoch = steps

    def on_figures(self, state: TrainingState) -> None:
        """Stop where the rest of the job would end too late."""
        if self.elapsed_s + self._after_s + self._dev_s > _MOST * self._given:
            state.stop("the time is over")

    def on_epoch_end(self, state: TrainingState) -> None:
        """Note how long it took."""
        position = state.position
        training_s, dev_s, batch = self._before
        self._dev_s = position.dev_s - dev_s
        if steps := state.steps_in_epoch - batch:
            # What a step of the head alone costs beyond what was measured says little of one that trains layers.
            self._costs[self._kind(state.epoch - 1)] = (position.training_s - training_s) / steps

    def state_dict(self) -> dict[str, Any]:
        """The seconds that were used."""
        return {"used_s": self.elapsed_s, "costs": list(self._costs), "dev_s": self._dev_s}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there: the time between two processes does not count."""
        if not self._is_begun:
            self._started -= state["used_s"]
        self._costs, self._dev_s = list(state["costs"]), state["dev_s"]

    def _kind(self, epoch: int) -> int:
        return int(epoch >= self._changed)

    def _decided(self, epoch: int, steps: int) -> int:
        left_s = PLANNED * self._given - self.elapsed_s - self._after_s - (EPOCHS - epoch) * self._dev_s
        # Of one step in each epoch that is left.
        step_s = sum(self._costs[self._kind(later)] for later in range(epoch, EPOCHS))
        if steps and abs(left_s - steps * step_s) <= _TOLERANCE * self._given:
            return steps
        return max(1, int(left_s / step_s))

    def _report(self, state: TrainingState, steps: int) -> None:
        left = timedelta(seconds=self._given - self.elapsed_s)
        until = f"{datetime.now().astimezone() + left:%H:%M}"
        if state.position.steps_per_epoch:
            state.progress.log(f"time: {steps} steps an epoch from epoch {state.epoch} on, to be done at {until}")
            return
        epochs = EPOCHS - state.position.epoch
        passes = epochs * steps / state.steps_in_epoch  # which is still that of a pass
        state.progress.log(
            f"time: {in_words(self._given)}, until {until}: {epochs} epochs of {steps} steps, which is {passes:.1f} "
            "passes over the training set"
        )
