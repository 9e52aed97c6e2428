"""The training loop: epochs, steps and what happens between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from speechxfer.config import AugmentConfig, TrainingConfig
from speechxfer.data import batching
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import CheckpointError, TrainingError
from speechxfer.model import SpeechModel
from speechxfer.runs import RunFolder
from speechxfer.training import averaging, checkpoint, curves, effect
from speechxfer.training.batch_budget import Budget, is_out_of_memory
from speechxfer.training.checkpoint import Position
from speechxfer.training.feeding import Batch, Examples, Feeder, Waited
from speechxfer.training.guard import Alarm, Guard
from speechxfer.training.interruption import between_steps
from speechxfer.training.measuring import Measured, measure
from speechxfer.training.optimizer import Rates, adamw
from speechxfer.training.preparation import Preparation
from speechxfer.training.tracking import Tracking
from speechxfer.transfer.plan import TransferPlan

#: Steps after which a GPU is asked for losses; asking makes it wait, a CPU has them at hand.
_LOOK_EVERY = {"cpu": 1, "cuda": 20}
#: Steps from one loss, norm and rate that are tracked to the next.
_TRACK_EVERY = 10
_MOST_ROLLBACKS = 3
#: What going back with a lower rate can mend.
_MENDABLE = ("not a number", "exploding gradients", "divergence")


@dataclass(frozen=True)
class Task:
    """What is to be learned, how, and where it is written."""

    model: SpeechModel
    plan: TransferPlan
    train: Examples
    dev: Examples
    training: TrainingConfig
    augment: AugmentConfig
    normalizer: TextNormalizer
    folder: RunFolder
    #: A name for the training data, so that resuming on other data is noticed.
    data: str
    #: What should not be forgotten, without targets, and how it is decoded.
    retain: Examples | None = None
    retain_options: DecodingOptions | None = None
    tracking: Tracking = field(default_factory=Tracking)


class _DerailedError(Exception):
    """An alarm after which the run returns to an earlier state."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__(str(alarm))


def fit(task: Task, preparation: Preparation, *, resume: bool) -> Position:
    """Train the plan's suffix; the best model by dev error is in `folder/model`, the last states in `checkpoints`.

    Interrupted (Ctrl-C), it writes the state it has and passes the interruption on.

    Raises:
        TrainingError: the loss is not a number any more, or nothing was learned.
        CheckpointError: the state to resume from is damaged, or of another plan or other data.
        StorageError: the disk is full; what was written before stays good.
    """
    loop = _Loop(task, preparation)
    began = effect.fingerprint(loop.parameters)
    at = loop.begin(resume=resume)
    task.tracking.begin(at.step)
    with preparation.progress.task("training", task.training.epochs) as advance, between_steps() as pause:
        advance(at.epoch)
        try:
            while at.epoch < task.training.epochs and not _stuck(at, task.training.patience):
                try:
                    loop.epoch(at, advance, pause)
                except _DerailedError as derailed:
                    at = loop.roll_back(at, str(derailed))
        except KeyboardInterrupt:
            loop.save(at)
            if at.best is None and loop.world.is_main:
                task.model.save(task.folder.model)
            raise
        finally:
            task.tracking.close()
    effect.check_weights(began, effect.fingerprint(loop.parameters))
    return at


class _Loop:
    """The state that lives between steps: optimiser, guard, inputs at the present seam."""

    def __init__(self, task: Task, preparation: Preparation) -> None:
        self.task = task
        self.model, self.training = task.model, task.training
        self.preparation, self.progress, self.world = preparation, preparation.progress, preparation.world
        self.device = task.model.device
        self.parameters = task.plan.trained(task.model)
        self.optimizer = adamw(task.plan.parameter_groups(task.model, task.training.weight_decay))
        self.budget = Budget(self.device, task.training.device_batch_seconds)
        self.feeder = Feeder(
            task.train, task.model, task.training, task.augment,
            budget=self.budget, world=self.world,
        )  # fmt: skip
        # A warm-up begins at a rate of 0, and a run of one step would end there.
        is_short = task.training.epochs == len(self.feeder.steps(0)) == 1
        self.rates = Rates(self.optimizer, 0.0 if is_short else task.training.warmup_ratio, task.training.epochs)
        self.guard = Guard()
        self.dev, self.retain = task.dev, task.retain
        #: What `_wake` last moved the inputs to; no cut at first.
        self.seam: int | None = -1
        # `torch.manual_seed` does it for every kind of device and notes who asked, in memory that grows with each step.
        on_gpu = self.device.type == "cuda"
        self._dropout_chance = (
            torch.cuda.default_generators[self.device.index or 0] if on_gpu else torch.default_generator
        )
        self.checkpoints = task.folder.checkpoints
        self.saved = time.monotonic()
        #: Of steps whose figures are still on the device: loss a label and labels learned, norm, and utterances.
        self.pending: list[tuple[Tensor, Tensor, Sequence[int]]] = []
        task.model.encoder.set_dropout(task.training.dropout)
        task.model.head.set_dropout(task.training.dropout)
        task.model.encoder.gradient_checkpointing = task.training.gradient_checkpointing

    def begin(self, *, resume: bool) -> Position:
        """Where the run stands: at its start, or where it was left."""
        at = None
        if resume:
            at = checkpoint.load(self.checkpoints, self.parameters, self.optimizer, self.progress)
        if at is None:
            at = Position(data=self.task.data)
            if self.training.guard == "rollback":
                self.save(at)  # somewhere to return to
            return at
        if at.data != self.task.data:
            raise CheckpointError(
                f"{self.checkpoints}: the training or dev manifest has changed since the run began; put the old one "
                "back, or start again with --overwrite"
            )
        self.guard = Guard(**at.guard)
        return at

    def save(self, at: Position) -> None:
        """Write a checkpoint."""
        self._collect(at)
        at.guard = self.guard.state()
        if self.world.is_main:
            checkpoint.save(self.checkpoints, self.parameters, self.optimizer, at)
        self.saved = time.monotonic()

    def roll_back(self, at: Position, alarm: str) -> Position:
        """Return to the last good state with half the learning rate; that decision is kept at once."""
        if at.rollbacks == _MOST_ROLLBACKS:
            raise TrainingError(f"{alarm}. After {_MOST_ROLLBACKS} returns with lower learning rates this run is given up; the best model so far is kept")  # fmt: skip  # noqa: E501
        self.optimizer.zero_grad(set_to_none=True)
        self.pending.clear()
        scale, rollbacks = at.rate_scale / 2, at.rollbacks + 1
        earlier = checkpoint.load(self.checkpoints, self.parameters, self.optimizer, self.progress)
        if earlier is None:
            raise TrainingError(f"{alarm}. There is no earlier state to return to")
        earlier.rate_scale, earlier.rollbacks = scale, rollbacks
        self.guard = Guard(**earlier.guard)
        self.world.barrier()  # every process has read it
        self.progress.log(f"{alarm}. Back to epoch {earlier.epoch + 1} with {scale:g} of the learning rates")
        self.save(earlier)
        return earlier

    def epoch(self, at: Position, advance: Callable[[float], None], pause: Callable[[], None]) -> None:
        """One epoch from wherever it stands, dev decoding and a checkpoint at its end."""
        self._wake(at.epoch)
        begun = started = time.monotonic()
        steps = self.feeder.steps(at.epoch)
        advance(at.batch / len(steps))
        self.model.train()
        waited = Waited()
        for indices, batches in waited.count(self.feeder.feed(steps[at.batch :], at.epoch)):
            self._step(at, indices, batches, (at.epoch + at.batch / len(steps)) / self.training.epochs)
            if self.training.ema_epochs:
                kept = averaging.decay(at.step, self.training.ema_epochs * len(steps))
                averaging.update(self.optimizer, kept)
            at.batch, at.step = at.batch + 1, at.step + 1
            due = time.monotonic() - self.saved > 60 * self.training.checkpoint_minutes
            if len(self.pending) >= _LOOK_EVERY.get(self.device.type, 20) or due or at.batch == len(steps):
                self._look(at)
            if due:
                at.training_s += time.monotonic() - started
                self.save(at)
                started = time.monotonic()
            advance(1 / len(steps))
            pause()
        at.training_s += time.monotonic() - started
        self.feeder.examples.inputs.copies.report_unreadable(self.world, self.progress)
        effect.check_epoch(at)
        with averaging.averaged(self.optimizer):
            self._judge(at, waited.seconds / (time.monotonic() - begun), self.feeder.padding(steps, at.epoch))
        at.epoch, at.batch, at.loss, at.labels, at.norm = at.epoch + 1, 0, 0.0, 0, 0.0
        self.save(at)

    def _wake(self, epoch: int) -> None:
        """Free what is trained from this epoch on, and move the inputs to the cut below it."""
        plan, task = self.task.plan, self.task
        plan.apply(self.model, epoch)
        if (seam := plan.seam_at(epoch)) == self.seam:
            return
        self.seam = seam
        self.feeder.examples = self._recut(task.train, seam, "train")
        self.dev = self._recut(task.dev, seam, "dev")
        self.retain = self._recut(task.retain, seam, "retain") if task.retain else None
        if self.training.compile:
            for group in self.model.encoder.layer_groups():
                if any(parameter.requires_grad for parameter in group.parameters()):
                    for module in group.modules:
                        module.compile(dynamic=True)  # one kernel for all lengths
        self._measure_budget(epoch)

    def _recut(self, examples: Examples, seam: int | None, name: str) -> Examples:
        return replace(examples, inputs=self.preparation.recut(examples.inputs, seam, name))

    def _measure_budget(self, epoch: int) -> None:
        """On a GPU, find out how much fits beside what the optimiser keeps; nothing moves."""
        examples, copies = self.feeder.examples, self.feeder.examples.inputs.copies
        costs = [batching.cost_s(copies.computed_s(key)) for key in self.feeder.keys(epoch)]
        longest = max(range(len(costs)), key=costs.__getitem__)

        def compute(seconds: float) -> None:
            batch = self.feeder.batch([longest] * max(1, round(seconds / costs[longest])), epoch)
            try:
                if batch is not None:
                    torch.autograd.backward(self._loss(batch))
            finally:
                self.optimizer.zero_grad(set_to_none=True)

        trained = sum(parameter.numel() for parameter in self.parameters.values() if parameter.requires_grad)
        kept_bytes = trained * (12 if self.training.ema_epochs else 8)  # two moments, and an average
        self.model.train()
        if not self.budget.measure(compute, costs[longest], spared_bytes=kept_bytes):
            origin = examples.manifest[longest].origin
            self.progress.log(f"{origin}: may not fit the device's memory even alone")

    def _step(self, at: Position, indices: Sequence[int], batches: list[Batch], share_done: float) -> None:
        self.rates.set(share_done, at.rate_scale)
        loss, labels = self._gradients(at, indices, batches)
        trained = [parameter for parameter in self.parameters.values() if parameter.requires_grad]
        summed = self.world.sum_gradients(trained, torch.stack([loss, loss.new_tensor(labels)]))
        self._leave_out(trained, summed, self._labels(indices))
        norm = nn.utils.clip_grad_norm_(trained, self.training.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.pending.append((summed, norm, indices))

    def _leave_out(self, trained: list[nn.Parameter], summed: Tensor, planned: int) -> None:
        """Divide a step by the labels that were learned, where utterances turned out to teach nothing.

        Args:
            trained: their gradients are those of the loss over the planned labels.
            summed: that loss and how many labels were learned, over all processes; the loss is corrected.
            planned: labels of the step.
        """
        loss, learned = summed
        # A GPU is not asked, which would make it wait.
        if self.device.type == "cpu" and int(learned) == planned:
            return
        scale = planned / learned.clamp(min=1)
        loss *= scale
        for parameter in trained:
            if parameter.grad is not None:
                parameter.grad *= scale

    def _gradients(self, at: Position, indices: Sequence[int], batches: list[Batch]) -> tuple[Tensor, int]:
        """Add up a step's gradients; its summed loss a label, and how many labels were learned.

        Where memory runs out, in smaller pieces.
        """
        planned = self._labels(indices)
        while True:
            self._dropout_chance.manual_seed(
                (self.training.seed * 1_000_003 + at.step) * self.world.size + self.world.rank
            )
            total = torch.zeros((), device=self.device)
            batch = None
            try:
                for batch in batches:
                    loss = self._loss(batch) / planned
                    torch.autograd.backward(loss)
                    total += loss.detach()
            except (RuntimeError, MemoryError) as error:
                if batch is None or not is_out_of_memory(error):
                    raise
            else:
                return total, sum(batch.num_labels(self.model) for batch in batches)
            self._shrink(batch)
            batches = self.feeder.batches(indices, at.epoch)

    def _labels(self, indices: Sequence[int]) -> int:
        targets = self.feeder.examples.targets
        return sum(self.model.head.num_labels(targets[index]) for index in indices)

    def _shrink(self, batch: Batch) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.budget.back_off(batch.indices):
            origin = self.feeder.examples.manifest[batch.indices[0]].origin
            self.progress.log(f"{origin}: does not fit the device's memory even alone; not used in training")
        else:
            self.progress.log(f"out of memory; computing at most {self.budget.seconds:.0f} s of audio at once")

    def _loss(self, batch: Batch) -> Tensor:
        inputs, encoder = self.feeder.examples.inputs, self.model.encoder
        with self._autocast():
            hidden_states = inputs.at_seam(batch.loaded)
            if batch.mask is not None:
                hidden_states = batch.mask(hidden_states)
            frames = batch.loaded.num_frames
            hidden_states = encoder.run(hidden_states, frames, inputs.cut, encoder.depth)
            return self.model.head.loss(hidden_states, encoder.output_frames(frames), batch.targets)

    def _autocast(self) -> torch.autocast:
        precision = self.preparation.precision
        return torch.autocast(self.device.type, precision, enabled=precision != torch.float32)

    def _look(self, at: Position) -> None:
        """Have the guard judge the steps since the last look, and those who watch see some of them."""
        collected = self._collect(at)
        for number, (loss, norm, indices) in enumerate(collected, at.step - len(collected) + 1):
            if number % _TRACK_EVERY == 0:
                self.task.tracking.log({"train/loss": loss, "train/gradient_norm": norm}, number)
            lines = ", ".join(self.feeder.examples.manifest[index].origin for index in indices[:3])
            self._heed(self.guard.step(number, loss, norm, lines))

    def _collect(self, at: Position) -> list[tuple[float, float, Sequence[int]]]:
        """Ask the device for what it still has of losses and norms, and count the losses."""
        if not self.pending:
            return []
        values = torch.stack([torch.cat([summed, norm.to(summed)[None]]) for summed, norm, _ in self.pending]).tolist()
        steps = [indices for _, _, indices in self.pending]
        self.pending.clear()
        for loss, labels, norm in values:
            at.loss += loss * labels
            at.labels += int(labels)
            at.norm += norm
        return [(loss, norm, indices) for (loss, _, norm), indices in zip(values, steps, strict=True)]

    def _heed(self, alarm: Alarm | None) -> None:
        if alarm is None or (self.training.guard == "off" and not alarm.fatal):
            return
        if self.training.guard == "rollback" and alarm.kind in _MENDABLE:
            raise _DerailedError(alarm)
        if alarm.fatal:
            raise TrainingError(f"{alarm}. The best model so far is kept; --guard rollback would go on by itself")
        self.progress.log(f"warning: {alarm}")

    def _judge(self, at: Position, waited: float, padding: float) -> None:
        """Measure dev, keep the best model, record the epoch."""
        started = time.monotonic()
        dev = self._measured(self.dev)
        retained = self._measured(self.retain, self.task.retain_options) if self.retain else None
        at.dev_s += time.monotonic() - started
        mean, scores = at.mean_loss, dev.scores
        of_classes = self.model.head.task == "classification"
        self._heed(self.guard.epoch(at.epoch + 1, mean, scores.relative_error, dev.idle, of_classes=of_classes))
        is_best = at.best is None or scores.rank < at.best
        if is_best:
            at.best, at.best_scores, at.best_epoch = scores.rank, scores.summary, at.epoch + 1
        if self.world.is_main:
            done = (at.epoch + 1 - 1 / max(at.batch, 1)) / self.training.epochs  # as of the last step
            parts = {"encoder": self.model.encoder, "head": self.model.head}
            rates = self.rates.highest(parts, done, at.rate_scale)
            line = curves.line(at, dev, retained, rates, padding=padding, waited=waited)
            self.task.folder.write_epoch(line)
            self.task.tracking.log(curves.tagged(line), at.step)
            if is_best:
                self.model.save(self.task.folder.model)
        kept = f"  retained {retained.scores}" if retained else ""
        news = "  best so far" if is_best else ""
        self.progress.log(f"epoch {at.epoch + 1:3}  loss {mean:7.4f}  dev {scores}{kept}{news}")

    def _measured(self, examples: Examples, options: DecodingOptions | None = None) -> Measured:
        precision, normalizer = self.preparation.precision, self.task.normalizer
        return measure(self.model, examples, normalizer, world=self.world, precision=precision, options=options)


def _stuck(at: Position, patience: int) -> bool:
    return bool(patience) and at.best is not None and at.epoch - at.best_epoch >= patience
