"""One step of training: forward, loss, backward in pieces that fit the memory, gradients of all processes, update."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.distributed
from torch import Tensor, nn

from speechxfer.config import AugmentConfig, TrainingConfig
from speechxfer.data import batching
from speechxfer.encoders.dropout import CheapDropout
from speechxfer.errors import TrainingError
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress
from speechxfer.training.batch_budget import Budget, is_out_of_memory
from speechxfer.training.distributed import LostProcessError, World
from speechxfer.training.feeding import Batch, Examples, Feeder
from speechxfer.training.inputs import encoded
from speechxfer.training.optimizer import adamw
from speechxfer.training.sharding import clip, is_sharded, local
from speechxfer.transfer.plan import TransferPlan

#: Bytes that AdamW keeps of a trained weight (two moments, float32), and that a moving average adds.
_MOMENTS_BYTES, _AVERAGE_BYTES = 8, 4


class StepResult(NamedTuple):
    """What a step gave, still on the device: reading it makes a GPU wait."""

    #: Loss per label, and how many labels were used, over all processes [2].
    summed: Tensor
    #: Norm of the gradient before clipping, a scalar.
    norm: Tensor
    #: Utterances of the step, over all processes.
    indices: Sequence[int]


class TrainStep:
    """Takes optimizer steps on a model; the trainer and the planner use the same.

    It sets the model's dropout and whether activations are recomputed, and owns the optimizer, the memory budget and
    the feeder of the training data.

    Args:
        model: on its device; which of its parameters have a gradient at present is the caller's to set
            (`TransferPlan.apply`), as is train mode.
        plan: which parameters are trained at all, and their peak learning rates.
        examples: the training data.
        training, augment: settings of the run.
        precision: of the forward pass; anything but float32 means autocast.
        world: the processes that share a step.
        progress: where it is reported that memory ran out.
    """

    def __init__(
        self, model: SpeechModel, plan: TransferPlan, examples: Examples, training: TrainingConfig,
        augment: AugmentConfig, *, precision: torch.dtype, world: World | None = None, progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self.model, self.device = model, model.device
        self.parameters = plan.trained(model)
        self.optimizer = adamw(plan.parameter_groups(model, training.weight_decay))
        self.budget = Budget(self.device, training.device_batch_seconds)
        #: Whether layers are divided over the processes, which then compute them in lockstep.
        self.is_sharded = is_sharded(self.parameters.values())
        self._training, self._precision = training, precision
        self._world, self._progress = world or World(), progress or Progress()
        self.feeder = Feeder(examples, model, training, augment, budget=self.budget, world=self._world)
        # `torch.manual_seed` seeds every kind of device and notes who asked, in memory that grows with each step.
        on_gpu = self.device.type == "cuda"
        self._dropout = torch.cuda.default_generators[self.device.index or 0] if on_gpu else torch.default_generator
        model.encoder.set_dropout(training.dropout)
        model.head.set_dropout(training.dropout)
        model.encoder.gradient_checkpointing = training.gradient_checkpointing

    def __call__(self, indices: Sequence[int], batches: list[Batch], *, epoch: int, number: int) -> StepResult:
        """Take one step.

        Args:
            indices: utterances of the step, over all processes.
            batches: what this process computes of them, from the feeder.
            epoch: from 0; where memory runs out, the utterances are read again for this epoch.
            number: of the step in the run, from 0; dropout depends on it and on the seed alone.
        """
        planned = self._num_labels(indices)
        loss, labels = self._backward(indices, batches, planned, epoch=epoch, number=number)
        trained = [parameter for parameter in self.parameters.values() if parameter.requires_grad]
        summed = self._world.sum_gradients(trained, torch.stack([loss, torch.full_like(loss, labels)]))
        self._rescale(trained, summed, planned)
        norm = clip(trained, self._training.max_grad_norm, self._world)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return StepResult(summed, norm, indices)

    def loss(self, batch: Batch) -> Tensor:
        """The summed loss of a batch, a scalar with a gradient."""
        is_low = self._precision != torch.float32
        # A GPU does not need it, and a compiler would trace it.
        is_cheap = self.device.type == "cpu" and not self._training.compile
        dropout = CheapDropout() if is_cheap else contextlib.nullcontext()
        with dropout, torch.autocast(self.device.type, self._precision, enabled=is_low):
            states, frames = encoded(self.model.encoder, self.feeder.examples.inputs, batch.loaded, batch.mask)
            return self.model.head.loss(states, frames, batch.targets)

    def measure_memory(self, epoch: int) -> None:
        """On a GPU, find out how much fits beside what the optimizer keeps; no weight changes."""
        if self.is_sharded:  # a trial of one process would wait for the others
            return
        examples, copies = self.feeder.examples, self.feeder.examples.inputs.copies
        costs = [batching.cost_s(copies.computed_s(key)) for key in self.feeder.keys(epoch)]
        longest = max(range(len(costs)), key=costs.__getitem__)

        def compute(seconds: float) -> None:
            batch = self.feeder.batch([longest] * max(1, round(seconds / costs[longest])), epoch)
            try:
                if batch is not None:
                    torch.autograd.backward(self.loss(batch))
            finally:
                self.optimizer.zero_grad(set_to_none=True)

        trained = sum(parameter.numel() for parameter in self.parameters.values() if parameter.requires_grad)
        each = _MOMENTS_BYTES + (_AVERAGE_BYTES if self._training.ema_epochs else 0)
        self.model.train()
        if not self.budget.measure(compute, costs[longest], spared_bytes=trained * each):
            self._progress.log(f"{examples.manifest[longest].origin}: may not fit the device's memory even alone")

    def _backward(
        self, indices: Sequence[int], batches: list[Batch], planned: int, *, epoch: int, number: int
    ) -> tuple[Tensor, int]:
        """Sum up the gradients of a step; its loss per planned label, and how many labels were used.

        Where memory runs out, in smaller pieces.
        """
        seed = (self._training.seed * 1_000_003 + number) * self._world.size + self._world.rank
        while True:
            self._dropout.manual_seed(seed)
            total = torch.zeros((), device=self.device)
            batch = None
            try:
                for batch in batches:
                    loss = self.loss(batch) / planned
                    torch.autograd.backward(loss)
                    total += loss.detach()
                for batch in self._missing(indices, batches, epoch):
                    torch.autograd.backward(self.loss(batch) * 0.0)
            except (RuntimeError, MemoryError) as error:
                if self.is_sharded:
                    raise self._named(error) from error
                if batch is None or not is_out_of_memory(error):
                    raise
            else:
                return total, sum(batch.num_labels(self.model) for batch in batches)
            self._back_off(batch, epoch)
            batches = self.feeder.batches(indices, epoch)

    def _missing(self, indices: Sequence[int], batches: list[Batch], epoch: int) -> list[Batch]:
        """Batches that count for nothing, so that every process computes divided layers as often as the others."""
        if not self.is_sharded:
            return []
        most = max(self._world.gather({self._world.rank: len(batches)}).values())
        found = batches or [one for index in indices[-1:] if (one := self.feeder.batch([index], epoch)) is not None]
        return found[:1] * (most - len(batches))

    def _named(self, error: RuntimeError | MemoryError) -> Exception:
        """The error of a step in which processes wait for each other."""
        if is_out_of_memory(error):
            return TrainingError(
                f"out of memory over {self.budget.seconds:.0f} s of audio; wanted a smaller "
                "training.device_batch_seconds, which training.fsdp does not find by itself"
            )
        is_lost = isinstance(error, torch.distributed.DistError) or "onnection" in str(error)
        return LostProcessError.of(error) if is_lost and isinstance(error, RuntimeError) else error

    def _back_off(self, batch: Batch, epoch: int) -> None:
        """Make room after memory ran out over a batch, and compute less at once from now on."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.budget.back_off(batch.indices, self.feeder.lengths_s(batch.indices, epoch)):
            origin = self.feeder.examples.manifest[batch.indices[0]].origin
            self._progress.log(f"{origin}: does not fit the device's memory even alone; not used in training")
        else:
            self._progress.log(f"out of memory; computing at most {self.budget.seconds:.0f} s of audio at once")

    def _rescale(self, trained: list[nn.Parameter], summed: Tensor, planned: int) -> None:
        """Divide by the labels that were used instead of the planned ones, where some utterances were skipped.

        Args:
            trained: their gradients are those of the loss over the planned labels.
            summed: that loss, which is corrected, and how many labels were used, over all processes.
            planned: labels of the step.
        """
        loss, used = summed
        # A GPU is not asked, which would make it wait.
        if self.device.type == "cpu" and int(used) == planned:
            return
        scale = planned / used.clamp(min=1)
        loss *= scale
        if gradients := [local(parameter.grad) for parameter in trained if parameter.grad is not None]:
            torch._foreach_mul_(gradients, scale)

    def _num_labels(self, indices: Sequence[int]) -> int:
        targets = self.feeder.examples.targets
        return sum(self.model.head.num_labels(targets[index]) for index in indices)
