"""The training of a candidate as far as it is worth it, and the data that trials share.

A trial trains at a constant rate. To measure it, its rate falls to 0 over some steps more, and it is then taken back to
where it was: that shows what a whole run of so many steps would have reached, and the trial can go on (Hägele et al.,
2024, Scaling laws and compute-optimal training beyond fixed training durations).
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from speechxfer.config import FinetuneConfig, PlanConfig
from speechxfer.data import batching
from speechxfer.data.loading import durations_s
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.device import choose_device, choose_precision
from speechxfer.encoders.checkpoints import find
from speechxfer.model import SpeechModel
from speechxfer.planner.forecast import Point
from speechxfer.planner.subsets import nested
from speechxfer.progress import Progress
from speechxfer.training import checkpoint
from speechxfer.training.beginning import Beginning
from speechxfer.training.distributed import World
from speechxfer.training.epochs import settled
from speechxfer.training.feeding import Examples
from speechxfer.training.inputs import Inputs
from speechxfer.training.measuring import measure
from speechxfer.training.preparation import Preparation
from speechxfer.training.starting_point import StartingPoint, starting_point
from speechxfer.training.step import StepResult, TrainStep
from speechxfer.training.suitability import check
from speechxfer.training.timing import StepTime, time_steps

#: Steps in which the rate rises, and those in which it falls for a measurement, relative to the steps before.
_WARMUP, _FALL, _FEWEST_FALLING = 10, 0.25, 2
#: Fraction of the first steps in which a new head is trained alone, where the plan trains it alone first.
_HEAD_ALONE = 0.4
#: Of each trained weight besides itself: its gradient and AdamW's two moments, in float32.
_TRAINED_BYTES = 12


@dataclass(frozen=True)
class Cost:
    """What a run of a candidate takes."""

    #: Opening the model, and seconds of computing what is frozen for a second of audio.
    opening_s: float
    below_s: float
    #: An optimizer step.
    step_s: float
    #: Weights, gradients, the optimizer's moments, what the heaviest step keeps for its backward pass, and hidden
    #: states kept in memory: bytes at the peak, without the libraries themselves.
    memory: int
    #: Parameters that move, and all.
    trained: int
    parameters: int


class Bench:
    """The data of all trials, and a temporary folder with a cache of what is frozen in several of them.

    Args:
        base: what runs have in common.
        train, dev: with known durations.
        folder: for what is thrown away afterwards.
    """

    def __init__(self, base: FinetuneConfig, train: Manifest, dev: Manifest, folder: Path) -> None:
        self.train, self.dev = train, nested(dev)
        self.device = choose_device(base.device)
        self.normalizer = TextNormalizer(base.text.resolved_scoring_normalizer)
        training = replace(
            settled(base, lambda: len(train)).training, time="", steps_per_epoch=0, cache="disk",
            cache_dir=str(folder / "cache"), speed_copies=0, trackers=[], compile=False,
        )  # fmt: skip
        self._base = replace(base, training=training, retain=None, compare_scratch=False)
        #: Seconds of computing what is frozen for a second of audio, by model and layer index.
        self.below_s: dict[tuple[str, int], float] = {}
        #: Seconds of a step that trains all of a model's encoder, of the slowest that was checked.
        self.step_s = 0.0
        #: Layers of each model that was checked.
        self.depths: dict[str, int] = {}

    def check(self, config: FinetuneConfig, most_s: float, progress: Progress) -> Manifest:
        """Look for what would fail in every run with these settings, and time a step that trains the whole encoder.

        Returns:
            What of the training data can be learned from, in an order in which every beginning stands for the whole.

        Raises:
            CheckpointError: the model cannot be read.
            ConfigError: settings that do not fit it.
            DataError: texts, labels or audio that cannot be used.
        """
        config = replace(config, plan=PlanConfig(preset="fine-tune"))
        start = starting_point(config, find(config.model, language=config.language), self.train, progress)
        self.depths[config.model] = start.model.encoder.depth
        check(start.model, {"train": start.train, "dev": self.dev}, self.normalizer, config, progress)
        step = self._time(start, config, most_s)
        self.step_s = max(self.step_s, step.below + step.above)
        return nested(start.train)

    def timed(self, config: FinetuneConfig, most_s: float) -> tuple[float, float]:
        """Seconds of an optimizer step of a candidate, and of computing what is frozen for a second of audio."""
        start = starting_point(config, find(config.model, language=config.language), self.train, Progress())
        step = self._time(start, config, most_s)
        if start.plan.lowest_seam is None:
            return step.below + step.above, 0.0
        return step.above, step.below / config.training.batch_seconds

    def _time(self, start: StartingPoint, config: FinetuneConfig, most_s: float) -> StepTime:
        start.model.to(self.device)
        precision, last = choose_precision(config.training.precision, self.device), config.training.epochs - 1
        return time_steps(start, config, precision, last, most_s)

    def settings(self, config: FinetuneConfig) -> FinetuneConfig:
        """A candidate's settings as trials have them."""
        shared = self._base.training
        training = replace(shared, batch_seconds=config.training.batch_seconds)
        return replace(self._base, model=config.model, plan=config.plan, training=training)


class Trial:
    """A training that can be measured, and goes on from where it was.

    Args:
        bench: the data.
        config: a candidate's settings.
        dev: how many utterances of dev are measured.
        horizon: how much of a whole run a trial has done.
        now: the clock, in seconds.

    Raises:
        CheckpointError: the model cannot be read.
        ConfigError: settings that do not fit it.
    """

    def __init__(
        self, bench: Bench, config: FinetuneConfig, dev: int, horizon: Callable[[Trial], float],
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        begun, self._now, self._bench, self._horizon = now(), now, bench, horizon
        self._config = bench.settings(config)
        source = find(config.model, language=config.language)
        self.start: StartingPoint = starting_point(self._config, source, bench.train, Progress())
        self.start.model.to(bench.device)
        #: In an order in which every beginning stands for the whole.
        self.train = nested(self.start.train)
        self._head = self.start.model.head.describe()
        #: Steps, the seconds they took, and seconds of audio in them.
        self.steps, self.seconds, self.seen_s = 0, 0.0, 0.0
        self.is_astray = False
        self._dev = bench.dev[:dev]
        precision = choose_precision(self._config.training.precision, bench.device)
        self._preparation = Preparation(self.start.model.encoder, self._config.training, precision, World(), Progress())
        #: Up to which fraction a new head is trained alone; utterances that are used; passes over them.
        self._alone, self._count, self._pass = 0.0, 0, 0
        #: Epoch of the plan that is applied, and the first step of what is trained later than the head.
        self._applied, self._late_from, self._late_fraction = -1, 0, 0.0
        self._last = max((epoch for epoch in self.start.plan.first_epochs if epoch), default=0)
        self._take_step: TrainStep | None = None
        self._peaks: list[tuple[float, bool]] = []
        self._kept_bytes, self._timed = 0, (0, 0.0)
        self.opening_s = now() - begun

    @property
    def step_s(self) -> float:
        """Seconds of a step, of those that train everything where there were some."""
        count, seconds = self._timed
        return seconds / count if count else 0.0

    @property
    def below_s(self) -> float:
        """Seconds of computing what is frozen for a second of audio, where it is computed once."""
        seam = self.start.plan.lowest_seam
        return self._bench.below_s.get((self._config.model, seam), 0.0) if seam is not None else 0.0

    @property
    def num_labels(self) -> int:
        """Labels of the part of dev that is measured."""
        head = self.start.model.head
        return sum(head.num_labels(head.targets(one)) for one in self._dev)

    def cost(self) -> Cost:
        """What a run takes, as far as it is known."""
        model, plan = self.start.model, self.start.plan
        trained, weights = plan.num_trained(model), sum(one.numel() for one in model.parameters())
        seam = plan.lowest_seam
        stored = (
            self._bench.train.duration_s * model.encoder.frame_rate * model.encoder.width_at(seam) * 2 if seam else 0
        )
        memory = int(4 * weights + _TRAINED_BYTES * trained + self._kept_bytes + stored)
        return Cost(self.opening_s, self.below_s, self.step_s, memory, trained, weights)

    @property
    def fraction(self) -> float:
        """How much of a whole run has been done."""
        return self._horizon(self)

    def advance(self, fraction: float, count: int, until: float) -> None:
        """Go on, at the full rate, up to this fraction of a whole run.

        Args:
            count: how many utterances of the training data are used, from the first on.
            until: a time on the clock; no step is begun that would end later.
        """
        if not self.steps:
            self._alone = _HEAD_ALONE * fraction if self._last else 0.0
        if count > self._count:
            self._count, new = min(count, len(self.train)), slice(self._count, count)
            # On their own first, so that what other trials have computed is not computed again beside it.
            self._inputs(self.train[new], "train", self.start.plan.seam_at(self._epoch))
            self._load(self._epoch)
        while self.fraction < fraction and self._is_going(until):
            self._step(1.0)

    def measure(self, until: float) -> Point:
        """Let the rate fall to 0, decode dev, and go back to where it was."""
        at, kept = (self.steps, self.seconds, self.seen_s), self._state()
        # Of those steps that train as much as these: steps of a head alone are many times as fast.
        falling = max(_FEWEST_FALLING, round(_FALL * (self.steps - self._late_from)))
        for done in range(falling):
            if self._is_going(until):
                self._step(1.0 - (done + 1) / (falling + 1))
        model, summary, loss = self.start.model, {"error": math.inf}, math.inf
        if not self.is_astray:
            examples = self._examples(self._dev, "dev", self.start.plan.seam_at(self._epoch))
            found = measure(
                model, examples, self._bench.normalizer, world=World(), precision=self._preparation.precision
            )
            summary, loss = dict(found.scores.summary), math.inf if found.loss is None else found.loss
        error = summary.get("cer", summary.get("error", math.inf))
        point = Point(round(self._comparable, 5), self.steps, round(self.seconds, 2), error, loss)
        self._restore(kept)
        self.steps, self.seconds, self.seen_s = at
        return point

    def beginning(self) -> Beginning:
        """Where a whole run goes on from: at the full rate, after so many of its epochs."""
        assert self._take_step is not None
        epochs = self._config.training.epochs
        # A head is not trained alone again.
        done = max(int(self.fraction * epochs), self._last if self._applied == self._last else 0)
        tensors = checkpoint.collected(self._parameters, self._take_step.optimizer)
        return Beginning(tensors, self.steps, min(done, epochs - 1), self._head)

    def take_over(self, other: Trial) -> None:
        """Go on from where another one stands, which trains the same with other settings."""
        self.steps, self.seconds, self.seen_s = other.steps, other.seconds, other.seen_s
        self._alone, self._count, self._pass = 0.0, other._count, other._pass
        self._load(self._last)
        self._late_fraction = other._late_fraction
        weights, moments = other._state()
        names: dict[Tensor, str] = {parameter: name for name, parameter in other._parameters.items()}
        self._restore((weights, {self._parameters[names[one]]: state for one, state in moments.items()}))

    @property
    def _comparable(self) -> float:
        """The fraction of a whole run by which curves are compared: of that part in which everything is trained.

        A trial trains a new head alone for a larger part of its steps than a run does.
        """
        if self._applied != self._last:
            return self.fraction
        return (self.fraction - self._late_fraction) / (1.0 - self._last / self._config.training.epochs)

    @property
    def _epoch(self) -> int:
        """The epoch of the plan's schedule: the first one, or the last one, in which everything is trained."""
        return 0 if self._alone and self.fraction < self._alone else self._last

    @property
    def _parameters(self) -> dict[str, nn.Parameter]:
        assert self._take_step is not None
        return self._take_step.parameters

    def _is_going(self, until: float) -> bool:
        return not self.is_astray and self._now() + self.step_s <= until

    def _load(self, epoch: int) -> None:
        """Train what the plan trains in an epoch, on the inputs at its seam."""
        model, plan = self.start.model, self.start.plan
        plan.apply(model, epoch)
        seam = plan.seam_at(epoch)
        examples = self._examples(self.train[: self._count], "train", seam)
        if self._take_step is None:
            self._take_step = TrainStep(
                model, plan, examples, self._config.training, self._config.augment,
                precision=self._preparation.precision,
            )  # fmt: skip
            groups = self._take_step.optimizer.param_groups
            self._peaks = [(group["lr"], bool(group["first_epoch"])) for group in groups]
            self._take_step.measure_memory(epoch)
        self._take_step.feeder.examples = examples
        if epoch != self._applied:
            self._applied, self._late_from, self._late_fraction = epoch, self.steps, self.fraction
        self._stream = self._steps()
        self._timed = (-1, 0.0)  # the first one warms up

    def _examples(self, manifest: Manifest, name: str, seam: int | None) -> Examples:
        head, inputs = self.start.model.head, self._inputs(manifest, name, seam)
        return Examples(inputs, manifest, [head.targets(utterance) for utterance in manifest])

    def _inputs(self, manifest: Manifest, name: str, seam: int | None) -> Inputs:
        """The hidden states, of which those that other trials have computed are found."""
        augment = self._config.augment if name == "train" else None
        before = self._preparation.seconds.get(name, 0.0)
        inputs = self._preparation.inputs(manifest, seam, name, augment=augment)
        spent = self._preparation.seconds.get(name, 0.0) - before
        key = (self._config.model, seam or 0)
        if seam and name == "train":
            known = self._bench.below_s.get(key, 0.0)
            self._bench.below_s[key] = max(known, spent / max(manifest.duration_s, 1e-6))
        return inputs

    def _steps(self) -> Iterator[tuple[list[int], int]]:
        """Steps without end, and the pass over the data that each belongs to."""
        training = self._config.training
        lengths = durations_s(self.train[: self._count], self.start.model.encoder.max_duration_s)
        while True:
            self._pass += 1
            for indices in batching.steps(lengths, training.batch_seconds, seed=training.seed, epoch=self._pass):
                yield indices, self._pass

    def _step(self, factor: float) -> None:
        """A step at so much of the full rate."""
        if self._epoch != self._applied:
            self._load(self._epoch)
        take = self._take_step
        assert take is not None
        indices, data_pass = next(self._stream)
        for group, (peak, is_late) in zip(take.optimizer.param_groups, self._peaks, strict=True):
            since = self.steps - (self._late_from if is_late else 0)
            group["lr"] = peak * factor * max(0.0, min(1.0, (since + 1) / _WARMUP))
        begun_s = self._now()
        self.start.model.train()
        batches = take.feeder.batches(indices, data_pass)
        if batches:
            step = functools.partial(take, indices, batches, epoch=data_pass, number=self.steps)
            if self.steps == self._late_from:  # the first of those that train as much
                self._kept_bytes, result = _with_kept_bytes(self.start.model, step)
            else:
                result = step()
            self.is_astray = not bool(torch.isfinite(result.summed[0]) and torch.isfinite(result.norm))
        spent = self._now() - begun_s
        count, seconds = self._timed
        self._timed = (count + 1, seconds + spent) if count >= 0 else (0, 0.0)
        self.steps, self.seconds = self.steps + 1, self.seconds + spent
        self.seen_s += self._config.training.batch_seconds

    def _state(self) -> tuple[dict[str, Tensor], dict[Tensor, dict[str, Tensor]]]:
        assert self._take_step is not None
        weights = {name: one.detach().clone() for name, one in self._take_step.parameters.items()}
        moments: dict[Tensor, dict[str, Tensor]] = {
            parameter: {name: value.clone() for name, value in state.items()}
            for parameter, state in self._take_step.optimizer.state.items()
        }
        return weights, moments

    def _restore(self, kept: tuple[dict[str, Tensor], dict[Tensor, dict[str, Tensor]]]) -> None:
        assert self._take_step is not None
        weights, moments = kept
        with torch.no_grad():
            for name, parameter in self._take_step.parameters.items():
                parameter.copy_(weights[name])
        self._take_step.optimizer.state.clear()
        self._take_step.optimizer.state.update(moments)


def _with_kept_bytes(model: SpeechModel, step: Callable[[], StepResult]) -> tuple[int, StepResult]:
    """A step, and what autograd keeps between its forward and backward pass, the weights themselves left out."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = step()
    return sum(sizes.values()), result
