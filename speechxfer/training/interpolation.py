"""Weights between those a run began with and those it ended with: how much of the gain, and how much of the loss.

Wortsman et al., 2022, Robust fine-tuning of zero-shot models (WiSE-FT): a straight line between both often keeps most
of what was learned and loses little of what was known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speechxfer.adapters import merged_state
from speechxfer.config import FinetuneConfig, build, merge, to_dict
from speechxfer.data.manifest import Manifest
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError
from speechxfer.heads.base import Head
from speechxfer.model import SpeechModel
from speechxfer.opening import open_checkpoint
from speechxfer.progress import Progress
from speechxfer.runs import InterpolationCurve, RunFolder
from speechxfer.runs import InterpolationPoint as Point
from speechxfer.training import self_training
from speechxfer.training.distributed import World
from speechxfer.training.feeding import Examples
from speechxfer.training.job import Job, check_places, retain_options
from speechxfer.training.measuring import measure
from speechxfer.training.preparation import Preparation
from speechxfer.training.starting_point import starting_point

#: The fractions of the adapted weights that are measured unless others are asked for.
POINTS = tuple(number / 10 for number in range(11))


@dataclass(frozen=True)
class Curve:
    """Points by rising alpha, from 0 to 1."""

    points: tuple[Point, ...]
    #: The head was new, so there is none to interpolate with: all points have the adapted one.
    encoder_only: bool

    def gain(self, point: Point) -> float | None:
        """The fraction of what dev gained that a point keeps; None where nothing was gained."""
        first, last = _error(self.points[0].dev), _error(self.points[-1].dev)
        return (first - _error(point.dev)) / (first - last) if last < first else None

    def loss(self, point: Point) -> float | None:
        """The fraction of what was forgotten that a point still suffers; None where nothing was, or it is not known."""
        if point.retain is None or self.points[0].retain is None or self.points[-1].retain is None:
            return None
        first, last = _error(self.points[0].retain), _error(self.points[-1].retain)
        return (_error(point.retain) - first) / (last - first) if last > first else None

    def best(self, keep_gain: float) -> Point:
        """Of the points that keep this fraction of the gain, the one with the least error on what is to be retained.

        Where nothing is to be retained, the one nearest to the original.

        Raises:
            ConfigError: there is no gain to keep.
        """
        gains = [(point, self.gain(point)) for point in self.points]
        enough = [point for point, gain in gains if gain is not None and gain >= keep_gain]
        if not enough:
            first, last = _error(self.points[0].dev), _error(self.points[-1].dev)
            raise ConfigError(f"training gained nothing on dev ({first:.3f} before, {last:.3f} after), so there is no gain to keep; choose a point with --at")  # fmt: skip  # noqa: E501
        return min(enough, key=lambda point: _error(point.retain) if point.retain else point.alpha)

    def describe(self, point: Point) -> str:
        """A point in words."""
        gain, loss = self.gain(point), self.loss(point)
        kept = "nothing was gained on dev" if gain is None else f"keeps {gain:.0%} of the gain on dev"
        lost = "" if loss is None else f" at {loss:.0%} of the loss on what was to be retained"
        return f"alpha {point.alpha:g} {kept}{lost}"

    def rows(self) -> list[tuple[str, ...]]:
        """For a table: alpha, error on dev, fraction of the gain, error on retain, fraction of the loss."""
        return [
            (
                f"{point.alpha:g}", f"{_error(point.dev):.3f}", _percent(self.gain(point)),
                f"{_error(point.retain):.3f}" if point.retain else "-", _percent(self.loss(point)),
            )
            for point in self.points
        ]  # fmt: skip

    def to_list(self) -> list[dict[str, Any]]:
        """Plain values for JSON."""
        return [
            {name: value for name, value in asdict(point).items() if value is not None}
            | {"encoder_only": self.encoder_only}
            for point in self.points
        ]


class Interpolation:
    """The line between both ends of a finished run.

    Args:
        folder: of the run.
        device: to compute on.
        places: where the model or manifests of the run are now, by setting, if they have been moved.
        progress: lines go there.

    Raises:
        ConfigError: the folder holds no finished run, or one that began from scratch.
        CheckpointError: the model that it began with cannot be found.
    """

    def __init__(
        self, folder: Path, *, device: str = "auto", places: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> None:  # fmt: skip
        self._run, self._progress = RunFolder(folder), progress or Progress()
        self._run.check_finished()
        config = build(FinetuneConfig, merge([to_dict(replace(self._run.moved_config, test=None)), places or {}]))
        check_places(config, again=True)
        if config.plan.from_scratch or config.plan.preset == "from-scratch":
            raise ConfigError(f"{folder}: began from random weights, so there is nothing to go back to")
        self._job = self_training.learned_from(Job(replace(config, device=device), World(), self._progress))
        manifests = self._job.chosen()
        start = starting_point(config, find(config.model, language=config.language), manifests["train"], Progress())
        self._measured: dict[str, Manifest] = {name: manifests[name] for name in ("dev", "retain") if name in manifests}
        self._seam = start.plan.lowest_seam
        self._model = SpeechModel.load(str(self._run.model), device=device)
        pretrained = open_checkpoint(find(config.model, language=config.language), head=config.head)
        self.encoder_only = not _is_head_of(pretrained.head, start.model)
        #: The pre-trained model receives silence up to 30 s after every utterance, and the run does not.
        self.unpadded = pretrained.encoder.fixed_length and not self._model.encoder.fixed_length
        # Both ends stay on the CPU and take no room on a device.
        self._last = {name: value.cpu().clone() for name, value in self._model.state_dict().items()}
        self._first = _comparable(merged_state(start.model), self._last, encoder_only=self.encoder_only)

    def curve(self, alphas: Iterable[float]) -> Curve:
        """Measure these points and both ends, and keep them in the run's folder.

        Raises:
            ConfigError: an alpha outside 0 to 1.
            StorageError: they could not be kept.
        """
        wanted = sorted({0.0, 1.0, *checked_points(alphas)})
        # Below the seam both are the same, so that is computed once for all points.
        training = replace(self._job.config.training, epochs=len(wanted))
        preparation = Preparation(self._model.encoder, training, self._job.precision, World(), self._progress)
        examples = {
            name: Examples(preparation.inputs(manifest, self._seam, name), manifest, [])
            for name, manifest in self._measured.items()
        }
        points = []
        with self._progress.task("interpolating", len(wanted)) as advance:
            for alpha in wanted:
                points.append(point := self._point(alpha, examples))
                kept = f"  retained {_error(point.retain):.3f}" if point.retain else ""
                self._progress.log(f"alpha {alpha:<4g} dev {_error(point.dev):.3f}{kept}")
                advance(1)
        curve = Curve(tuple(points), self.encoder_only)
        self._run.write(InterpolationCurve(curve.points, curve.encoder_only))
        return curve

    def at(self, alpha: float) -> SpeechModel:
        """The model with this fraction of the adapted weights; the same object for every alpha."""
        self._model.load_state_dict(between(self._first, self._last, alpha))
        return self._model.eval()

    def _point(self, alpha: float, examples: Mapping[str, Examples]) -> Point:
        model, job, found = self.at(alpha), self._job, {}
        for name, some in examples.items():
            options = retain_options(job.config, model.head) if name == "retain" else None
            measured = measure(model, some, job.normalizer, world=World(), precision=job.precision, options=options)
            found[name] = measured.scores.summary
        return Point(alpha, found["dev"], found.get("retain"))


def between(first: Mapping[str, Tensor], last: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """(1 - alpha) first + alpha last, weight by weight; what `first` lacks is as in `last`."""
    return {
        name: torch.lerp(first[name].float(), value.float(), alpha).to(value.dtype) if name in first else value
        for name, value in last.items()
    }


def checked_points(alphas: Iterable[float]) -> list[float]:
    """The same points.

    Raises:
        ConfigError: one is outside 0 to 1, or no number.
    """
    points = list(alphas)
    if wrong := [alpha for alpha in points if not 0 <= alpha <= 1]:
        raise ConfigError(f"alpha is {wrong[0]:g}; wanted 0 (the model as it was) to 1 (as it became)")
    return points


def _comparable(first: Mapping[str, Tensor], last: Mapping[str, Tensor], *, encoder_only: bool) -> dict[str, Tensor]:
    """The weights of the start that stand for the same as those of the end."""
    return {
        name: value.detach().cpu()
        for name, value in first.items()
        if name in last and value.is_floating_point() and not (encoder_only and name.startswith("head."))
    }


def _is_head_of(own: Head | None, start: SpeechModel) -> bool:
    """Whether the run began with the checkpoint's own head, weight by weight."""
    if own is None:
        return False
    weights = {f"head.{name}": value for name, value in own.state_dict().items()}
    began = {name: value for name, value in merged_state(start).items() if name.startswith("head.")}
    return weights.keys() == began.keys() and all(torch.equal(value, began[name]) for name, value in weights.items())


def _error(scores: Mapping[str, float]) -> float:
    return next(iter(scores.values()))


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.0%}"


def parse_points(text: str) -> Sequence[float]:
    """Numbers from "0, 0.25, 0.5".

    Raises:
        ConfigError: something in it is no number.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--points {text!r}: {error}; wanted numbers from 0 to 1, such as 0,0.25,0.5") from error
