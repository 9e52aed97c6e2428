"""The training loop: epochs, steps, and the callbacks around them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from speechxfer.config import AugmentConfig, TrainingConfig
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.options import DecodingOptions
from speechxfer.model import SpeechModel
from speechxfer.runs import RunFolder
from speechxfer.training.callbacks.base import Callback
from speechxfer.training.callbacks.best_model import BestModel, EarlyStopping
from speechxfer.training.callbacks.checkpoints import Checkpoints
from speechxfer.training.callbacks.guard import GuardCallback, RollbackError
from speechxfer.training.callbacks.history import History
from speechxfer.training.callbacks.learning_check import LearningCheck
from speechxfer.training.callbacks.moving_average import MovingAverage, averaged
from speechxfer.training.callbacks.unfreezing import Unfreezing
from speechxfer.training.callbacks.validation import Validation
from speechxfer.training.checkpoint import Position
from speechxfer.training.distributed import LostProcessError
from speechxfer.training.feeding import Examples, Step, Waited
from speechxfer.training.figures import PendingFigures
from speechxfer.training.interruption import between_steps
from speechxfer.training.optimizer import Rates
from speechxfer.training.preparation import Preparation
from speechxfer.training.sharding import shard, whole
from speechxfer.training.state import TrainingState
from speechxfer.training.step import TrainStep
from speechxfer.training.time_limit import TimeLimit
from speechxfer.transfer.plan import TransferPlan


@dataclass(frozen=True)
class Task:
    """What is to be learned, how, and where it is written."""

    model: SpeechModel
    plan: TransferPlan
    train: Examples
    dev: Examples
    training: TrainingConfig
    augment: AugmentConfig
    #: How texts are written before errors are counted.
    normalizer: TextNormalizer
    folder: RunFolder
    #: A digest of the training data, so that resuming on other data is noticed.
    data: str
    #: What the model should retain, without targets, and how it is decoded.
    retain: Examples | None = None
    retain_options: DecodingOptions | None = None
    #: How long the whole job may take; None for as long as its epochs take.
    time_limit: TimeLimit | None = None


def fit(task: Task, preparation: Preparation, *, resume: bool, callbacks: Sequence[Callback] = ()) -> Position:
    """Train what the plan trains; the best model by dev error is in the run's folder, and the last checkpoints.

    Interrupted by Ctrl-C, by the loss of another process or by a callback that raises, it saves the last step and
    passes the exception on.

    Args:
        task: what to do.
        preparation: makes the inputs at each seam.
        resume: go on from the newest checkpoint, if there is one.
        callbacks: called after the loop's own, and before checkpoints are written.

    Raises:
        TrainingError: the loss is no longer a number, or nothing was learned.
        CheckpointError: the checkpoint to resume from is damaged, or of another plan or other data.
        StorageError: the disk is full; what was written before stays good.
    """
    return TrainingLoop(task, preparation, callbacks).run(resume=resume)


class TrainingLoop:
    """The order of epochs, steps and hooks of one run."""

    def __init__(self, task: Task, preparation: Preparation, callbacks: Sequence[Callback]) -> None:
        training, world, progress = task.training, preparation.world, preparation.progress
        if training.fsdp:
            shard(task.model, task.plan, world)
        self._take_step = TrainStep(
            task.model, task.plan, task.train, training, task.augment, precision=preparation.precision,
            world=world, progress=progress,
        )  # fmt: skip
        self._feeder, self._pending = self._take_step.feeder, PendingFigures(task.model.device)
        # A warm-up begins at a rate of 0, and a run of one step would end there.
        position = Position(data=task.data, steps_per_epoch=training.steps_per_epoch)
        is_short = training.epochs == 1 and len(self._feeder.steps(position)) == 1
        self._rates = Rates(self._take_step.optimizer, 0.0 if is_short else training.warmup_ratio, training.epochs)
        own = _own_callbacks(task, preparation, self._take_step)
        self._checkpoints = Checkpoints(
            task.folder.checkpoints, self._take_step.parameters, self._take_step.optimizer, [*own, *callbacks]
        )
        self._callbacks, self._users = [*own, *callbacks, self._checkpoints], list(callbacks)
        self._state = TrainingState(
            task.model, training, task.folder, progress, world, self._rates, position, self._log
        )
        self._is_user_error = False
        self._advance: Callable[[float], None] = lambda _done: None
        self._pause: Callable[[], None] = lambda: None

    def run(self, *, resume: bool) -> Position:
        """Train, from the beginning or from the newest checkpoint; where the run stands at its end."""
        state = self._state
        if resume:
            self._checkpoints.resume(state)
        with (
            state.progress.task("training", state.config.epochs) as self._advance,
            between_steps() as self._pause,
            contextlib.ExitStack() as ends,
        ):
            try:
                for callback in self._callbacks:
                    ends.callback(callback.on_end, state)
                    callback.on_begin(state)
                self._advance(state.position.epoch)
                self._epochs()
            except BaseException as error:
                state.error = error
                raise
        return state.position

    def _epochs(self) -> None:
        state = self._state
        try:
            while not self._is_over():
                try:
                    self._epoch()
                except RollbackError as alarm:
                    self._pending.clear()
                    self._checkpoints.roll_back(state, str(alarm))
        except BaseException as error:
            is_lost = isinstance(error, LostProcessError) and not self._take_step.is_sharded
            if isinstance(error, KeyboardInterrupt) or is_lost or self._is_user_error:
                self._interrupt()
            raise
        if state.position.epoch < state.config.epochs:
            state.progress.log(f"stopped after epoch {state.position.epoch}: {state.stop_reason}")

    def _is_over(self) -> bool:
        position = self._state.position
        # A run ends with a model, so it is not stopped before the first validation.
        return position.epoch >= self._state.config.epochs or (position.best is not None and self._is_stopping())

    def _epoch(self) -> None:
        """An epoch from wherever it stands, its validation and its end."""
        state, position = self._state, self._state.position
        steps = self._feeder.steps(position)
        state.epoch, state.steps_in_epoch = position.epoch + 1, len(steps)
        self._set_rates(max(position.batch - 1, 0))
        self._call("on_epoch_begin")
        if state.steps_in_epoch != len(steps):  # as a limit of time has it
            steps = self._feeder.steps(position)
        self._advance(position.batch / len(steps))
        self._steps(steps)
        self._feeder.examples.inputs.copies.report_unreadable(state.world, state.progress)
        with averaged(self._take_step.optimizer), whole(state.model):
            self._call("on_validation")
        position.next_epoch()
        self._call("on_epoch_end")

    def _steps(self, steps: Sequence[Step]) -> None:
        state, position = self._state, self._state.position
        state.model.train()
        started, waited = time.monotonic(), Waited()
        with state.timed(), contextlib.closing(self._feeder.feed(steps[position.batch :])) as fed:
            for step, batches in waited.count(fed):
                self._set_rates(position.batch)
                self._pending.add(self._take_step(step.indices, batches, epoch=step.data_pass, number=position.step))
                position.batch, position.step = position.batch + 1, position.step + 1
                self._call("on_step_end")
                if self._is_time_to_report():
                    self._report()
                    if self._is_stopping():
                        break
                self._advance(1 / len(steps))
                self._pause()
        state.waited = waited.seconds / max(time.monotonic() - started, 1e-9)
        state.padding = self._feeder.padding(steps[: position.batch])

    def _set_rates(self, batch: int) -> None:
        """Set the learning rates of a step, counted from 0 in the epoch."""
        state = self._state
        done = (state.position.epoch + batch / state.steps_in_epoch) / state.config.epochs
        self._rates.set(done, state.position.rate_scale)

    def _is_time_to_report(self) -> bool:
        state = self._state
        is_last = state.position.batch == state.steps_in_epoch
        return self._pending.is_full or is_last or (state.stop_reason is not None and state.world.size == 1)

    def _report(self) -> None:
        """Fetch the figures of the last steps from the device, and show them to the callbacks."""
        self._state.recent = self._pending.collect(self._state.position)
        if self._state.recent:
            self._call("on_figures")

    def _is_stopping(self) -> bool:
        """Whether a callback of any process wants the run to stop."""
        return self._state.world.any(self._state.stop_reason is not None)

    def _interrupt(self) -> None:
        self._report()
        with whole(self._state.model):
            for callback in reversed(self._callbacks):
                callback.on_interrupt(self._state)

    def _call(self, hook: str, *arguments: object) -> None:
        for callback in self._callbacks:
            try:
                getattr(callback, hook)(self._state, *arguments)
            except Exception:
                self._is_user_error |= any(callback is one for one in self._users)
                raise

    def _log(self, values: Mapping[str, float], step: int) -> None:
        self._call("on_log", values, step)


def _own_callbacks(task: Task, preparation: Preparation, take_step: TrainStep) -> list[Callback]:
    """What every run does around its steps, in this order."""
    examples = {"dev": task.dev} | ({"retain": task.retain} if task.retain else {})
    validation = Validation(examples, task.normalizer, preparation.precision, task.retain_options)
    found: list[Callback] = [
        Unfreezing(task.plan, preparation, take_step, validation),
        *([task.time_limit] if task.time_limit else []),
        LearningCheck(take_step.parameters),
        validation,
        GuardCallback(task.train.manifest),
        BestModel(),
        History(),
    ]
    if task.training.ema_epochs:
        found.append(MovingAverage(take_step.optimizer, task.training.ema_epochs))
    if task.training.patience:
        found.append(EarlyStopping(task.training.patience))
    return found
