"""Parts of the model that are trained from a later epoch on, and the inputs that move with them."""

from __future__ import annotations

from dataclasses import replace

from speechxfer.training.callbacks.base import Callback
from speechxfer.training.callbacks.validation import Validation
from speechxfer.training.feeding import Examples
from speechxfer.training.preparation import Preparation
from speechxfer.training.sharding import whole
from speechxfer.training.state import TrainingState
from speechxfer.training.step import TrainStep
from speechxfer.transfer.plan import TransferPlan


class Unfreezing(Callback):
    """Before each epoch, lets those parts have a gradient that the plan trains in it.

    Where the seam moves, so do the inputs of training and of the validation, and the memory budget is measured again.
    """

    def __init__(
        self, plan: TransferPlan, preparation: Preparation, take_step: TrainStep, validation: Validation
    ) -> None:
        self._plan, self._preparation = plan, preparation
        self._take_step, self._validation = take_step, validation
        #: At the lowest seam of the run: what all others are computed from.
        self._train, self._measured = take_step.feeder.examples, dict(validation.examples)
        #: Where the inputs are; no seam at first.
        self._seam: int | None = -1

    def on_epoch_begin(self, state: TrainingState) -> None:
        """Apply the plan."""
        epoch = state.epoch - 1
        self._plan.apply(state.model, epoch)
        if (seam := self._plan.seam_at(epoch)) == self._seam:
            return
        self._seam = seam
        with whole(state.model):
            self._take_step.feeder.examples = self._moved("train", self._train)
            self._validation.examples = {name: self._moved(name, one) for name, one in self._measured.items()}
        if state.config.compile:
            _compile(state)
        self._take_step.measure_memory(epoch)

    def _moved(self, name: str, examples: Examples) -> Examples:
        return replace(examples, inputs=self._preparation.moved(examples.inputs, self._seam, name))


def _compile(state: TrainingState) -> None:
    for group in state.model.encoder.layer_groups():
        if any(parameter.requires_grad for parameter in group.parameters()):
            for module in group.modules:
                module.compile(dynamic=True)  # one kernel for all lengths
