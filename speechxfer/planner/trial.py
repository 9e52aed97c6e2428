"""What a candidate costs, measured on a few steps, and short trainings of it in a folder that is thrown away."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from speechxfer.config import FinetuneConfig
from speechxfer.data import batching
from speechxfer.data.manifest import Manifest, data_digest
from speechxfer.data.text import TextNormalizer
from speechxfer.device import choose_device, choose_precision
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import DataError, TrainingError
from speechxfer.model import SpeechModel
from speechxfer.planner.halving import Outcome
from speechxfer.progress import Progress
from speechxfer.runs import RunFolder
from speechxfer.training.distributed import World
from speechxfer.training.feeding import Examples
from speechxfer.training.inputs import Copies, Inputs, LiveInputs
from speechxfer.training.loop import Task, fit
from speechxfer.training.preparation import Preparation
from speechxfer.training.starting_point import StartingPoint, starting_point
from speechxfer.training.suitability import check
from speechxfer.training.timing import StepTimer

#: Steps that are timed, after one that warms up.
_TIMED = 3
#: Utterances of dev that trials are measured on; more of them are passed over evenly.
_MOST_DEV = 200
#: Cost of decoding and scoring dev relative to training on as much audio; trials measure it.
_DEV_COST = 0.5
#: Of each trained weight besides itself: its gradient and AdamW's two moments, in float32.
_TRAINED_BYTES = 12


@dataclass(frozen=True)
class Cost:
    """What a run of a candidate takes."""

    #: Opening the model and computing what is frozen, once.
    once_s: float
    #: An epoch and its measuring on dev.
    epoch_s: float
    #: Weights, gradients, the optimizer's moments, what the heaviest step keeps for its backward pass, and hidden
    #: states kept in memory: bytes at the peak, without the libraries themselves.
    memory: int
    #: Parameters that move, and all.
    trained: int
    parameters: int

    def run_s(self, epochs: int) -> float:
        """Seconds of a whole run."""
        return self.once_s + epochs * self.epoch_s


class Bench:
    """Where candidates are measured and tried: the data, and a temporary folder with a cache that all share.

    Args:
        base: what runs have in common.
        train: with known durations.
        folder: for what is thrown away afterwards.
    """

    def __init__(self, base: FinetuneConfig, train: Manifest, dev: Manifest, folder: Path) -> None:
        self.train = train
        self.dev = dev[:: math.ceil(len(dev) / _MOST_DEV)]
        self._folder = folder
        training = replace(
            base.training, time="", steps_per_epoch=0, cache="disk", cache_dir=str(folder / "cache"), patience=0,
            guard="off", trackers=[], checkpoint_minutes=1e6,
        )  # fmt: skip
        self._base = replace(base, training=training, retain=None, compare_scratch=False)
        self._device = choose_device(base.device)

    def check(self, config: FinetuneConfig, progress: Progress) -> Manifest:
        """Look for what would fail in every run with these settings; what of the training data can be learned from.

        Raises:
            CheckpointError: the model cannot be read.
            ConfigError: settings that do not fit it.
            DataError: texts, labels or audio that cannot be used.
        """
        start = starting_point(config, find(config.model, language=config.language), self.train, progress)
        splits = {"train": start.train, "dev": self.dev}
        check(start.model, splits, _scored(config), config, progress)
        return start.train

    def cost(self, config: FinetuneConfig) -> Cost:
        """Time a few steps of a run with these settings, and count what the heaviest keeps.

        Raises:
            CheckpointError: the model cannot be read.
            ConfigError: settings that do not fit it.
            DataError: texts, labels or audio that cannot be used.
        """
        started = time.monotonic()
        start = self._start(config)
        opening_s = time.monotonic() - started
        model, plan = start.model, start.plan
        copies = Copies(start.train, model.encoder, 0, config.training.seed)
        inputs = LiveInputs(model.encoder, plan.seam, copies, config.augment)
        lengths = list(map(copies.duration_s, copies.keys))
        kept, below_s, above_s = self._measured(config, start, inputs, lengths)
        with_dev = 1.0 + self.dev.with_durations().duration_s / sum(lengths) * _DEV_COST
        frozen = plan.seam is not None and inputs.augment is None
        trained, weights = plan.num_trained(model), sum(one.numel() for one in model.parameters())
        stored = sum(lengths) * model.encoder.frame_rate * model.encoder.width_at(inputs.seam) * 2 * frozen
        return Cost(
            once_s=opening_s + below_s * with_dev * frozen,
            epoch_s=(above_s + below_s * (not frozen)) * with_dev,
            memory=int(4 * weights + _TRAINED_BYTES * trained + kept + stored), trained=trained, parameters=weights,
        )  # fmt: skip

    def trial(self, config: FinetuneConfig, epochs: int) -> Outcome:
        """A whole run of so many epochs; one that goes astray comes last.

        Raises:
            StorageError: the disk has no room for what is frozen.
        """
        started = time.monotonic()
        settings = replace(self._base.training, epochs=epochs)
        config = replace(config, training=settings, retain=None, compare_scratch=False)
        with TemporaryDirectory(dir=self._folder) as folder:
            start = self._start(config)
            preparation = Preparation(
                start.model.encoder, settings, choose_precision(settings.precision, self._device), World(), Progress()
            )
            try:
                fit(self._task(config, start, preparation, RunFolder(folder)), preparation, resume=False)
            except TrainingError:
                return Outcome(epochs, math.inf, math.inf, time.monotonic() - started)
            figures = RunFolder(folder).history[-1]
        return Outcome(epochs, _error(figures), figures.get("dev_loss", math.inf), time.monotonic() - started)

    def _start(self, config: FinetuneConfig) -> StartingPoint:
        start = starting_point(config, find(config.model, language=config.language), self.train, Progress())
        start.model.to(self._device)
        start.plan.apply(start.model, max((epoch for epoch in start.plan.first_epochs if epoch), default=0))
        return start

    def _task(self, config: FinetuneConfig, start: StartingPoint, preparation: Preparation, folder: RunFolder) -> Task:
        splits = (("train", start.train, config.augment), ("dev", self.dev, None))
        train, dev = (
            _examples(
                start.model, preparation.inputs(manifest, start.plan.lowest_seam, name, augment=augment), manifest
            )
            for name, manifest, augment in splits
        )
        digest = data_digest([start.train, self.dev])
        return Task(
            start.model, start.plan, train, dev, config.training, config.augment, _scored(config), folder, digest
        )

    def _measured(
        self, config: FinetuneConfig, start: StartingPoint, inputs: Inputs, lengths: Sequence[float]
    ) -> tuple[int, float, float]:
        """From a few steps: bytes that the heaviest keeps, and seconds of an epoch below the seam and above it."""
        training = config.training
        precision = choose_precision(training.precision, self._device)
        timer = StepTimer(start, inputs, training, config.augment, precision)
        steps = batching.steps(lengths, training.batch_seconds, seed=training.seed, epoch=0)
        heaviest = max(steps, key=lambda step: sum(batching.cost_s(lengths[index]) for index in step))
        chosen = steps[:: math.ceil(len(steps) / _TIMED)]
        kept = _kept_bytes(start.model, lambda: timer.time(heaviest))
        total = timer.total(chosen)
        if total is None:
            raise DataError(f"{self.train.path}: its utterances cannot be read, so no candidate can be timed; `speechxfer check` says more")  # fmt: skip  # noqa: E501
        fraction = sum(lengths[index] for step in chosen for index in step) / sum(lengths)
        return kept, total.below / fraction, total.above / fraction


def _scored(config: FinetuneConfig) -> TextNormalizer:
    """How texts are written before errors are counted."""
    return TextNormalizer(config.text.resolved_scoring_normalizer)


def _examples(model: SpeechModel, inputs: Inputs, manifest: Manifest) -> Examples:
    return Examples(inputs, manifest, [model.head.targets(utterance) for utterance in manifest])


def _kept_bytes(model: SpeechModel, step: Callable[[], object]) -> int:
    """What autograd keeps between a step's forward and backward pass, the weights themselves left out."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        step()
    return sum(sizes.values())


def _error(figures: Mapping[str, float]) -> float:
    """What trials are compared by: characters or classes, of which there are more to tell candidates apart by."""
    return figures["dev_cer"] if "dev_cer" in figures else figures["dev_error"]
