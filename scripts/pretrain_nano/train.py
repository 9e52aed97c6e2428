"""Pre-train the small model: a run that can be stopped, taken up again and lengthened at will.

    python -m scripts.pretrain_nano.train --output data/nano/run --steps 5000
    python -m scripts.pretrain_nano.train --output data/nano/run --steps 9000     # go on
    python -m scripts.pretrain_nano.train --output data/nano/run --finish 500     # a model, 500 steps later

The learning rate rises and then stays, so that a run has no planned end. `--finish` lets it fall to nothing from where
the run stands, writes the model to `OUTPUT/finished` and leaves the run itself as it was.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import click
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import Wav2Vec2Model

from scripts.pretrain_nano.corpus import DEFAULT
from scripts.pretrain_nano.feeding import Feeder
from scripts.pretrain_nano.objectives import Contrastive, Distillation, MaskedClusters, Objective
from scripts.pretrain_nano.student import FRONTS, configuration, fresh, hear_like_an_ear, write
from scripts.pretrain_nano.targets import Lesson
from speechxfer.cli import Command
from speechxfer.cli.terminal import TerminalProgress
from speechxfer.errors import ConfigError
from speechxfer.storage import replacing_folder, write_json, write_tensors

_SETTINGS, _CHECKPOINT, _CURVE, _STATE, _POSITION = "settings.json", "checkpoint", "curve.json", "state.safetensors", "position.json"  # fmt: skip  # noqa: E501


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run is; it cannot be changed on the way."""

    objective: str
    front: str
    norm: str
    width: int
    layers: int
    rate: float
    layer_rate: float
    batch_s: float
    warmup: int
    seed: int


@dataclasses.dataclass
class Position:
    """How far a run is."""

    step: int = 0
    epoch: int = 0
    number: int = 0
    heard_s: float = 0.0
    processor_s: float = 0.0


class Run:
    """The student, its objective and optimizer, and where they stand."""

    def __init__(self, settings: Settings, lesson: Lesson, folder: Path) -> None:
        self.settings, self.folder, self.progress = settings, folder, TerminalProgress()
        config = configuration(settings.front, settings.width, settings.layers, settings.norm)
        self.model = fresh(config, settings.seed)
        if settings.front == "filterbank":
            hear_like_an_ear(self.model)
        self.objective = _objective(settings, lesson, self.model)
        self.feeder = Feeder(lesson, config, batch_s=settings.batch_s, seed=settings.seed)
        self.optimizer = _optimizer(settings, self.model, self.objective)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.position = Position()
        self.curve: list[dict[str, Any]] = []
        self.restore()

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """All that is trained, by name."""
        both = {"model": self.model, "objective": self.objective}
        return {f"{place}.{name}": value for place, one in both.items() for name, value in one.named_parameters()}

    def step(self, factor: float) -> dict[str, float]:
        """One optimizer step at a share of the peak rate; its losses."""
        position = self.position
        if position.number == len(self.feeder.steps(position.epoch)):
            position.epoch, position.number = position.epoch + 1, 0
        batch = self.feeder.batch(position.epoch, position.number)
        chance = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + position.step)
        losses = self.objective(self.model, batch.waveforms, batch.taught, chance)
        self.optimizer.zero_grad()
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(self.parameters.values(), 1.0, error_if_nonfinite=True)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.step()
        position.step, position.number = position.step + 1, position.number + 1
        position.heard_s += batch.waveforms.numel() / 16_000
        return {name: float(value.detach()) for name, value in losses.items()}

    @torch.inference_mode()
    def held_out(self) -> dict[str, float]:
        """The losses on what is never trained on, by name."""
        sums: dict[str, float] = defaultdict(float)
        seconds = 0.0
        for batch in self.feeder.held_out_batches():
            size = batch.waveforms.numel() / 16_000
            losses = self.objective(self.model, batch.waveforms, batch.taught, torch.Generator().manual_seed(0))
            for name, value in losses.items():
                sums[name] += float(value) * size
            seconds += size
        return {name: round(value / seconds, 4) for name, value in sums.items()}

    def go(self, steps: int, checkpoint_minutes: float) -> None:
        """Train up to a number of steps in all, with a checkpoint every few minutes."""
        sums: list[float] = []
        while self.position.step < steps:
            begun, until = time.process_time(), time.monotonic() + checkpoint_minutes * 60
            try:
                while self.position.step < steps and time.monotonic() < until:
                    factor = min(1.0, (self.position.step + 1) / self.settings.warmup)
                    sums.append(self.step(factor)["loss"])
            finally:
                self.position.processor_s += time.process_time() - begun
                self.note(sums)
                self.save()
            sums = []

    def finish(self, steps: int) -> Path:
        """Let the rate fall to nothing over so many steps and write the model."""
        begun, sums = time.process_time(), []
        for done in range(steps):
            sums.append(self.step(1.0 - done / steps)["loss"])
        self.position.processor_s += time.process_time() - begun
        self.note(sums)
        write(self.model, self.folder / "finished")
        write_json(self.folder / "finished.json", {**self.curve[-1], "decay": steps})
        return self.folder / "finished"

    def note(self, losses: list[float]) -> None:
        """Add a point to the curve, with the mean of the losses since the last, and say it."""
        position, loss = self.position, sum(losses) / max(1, len(losses))
        point = {"step": position.step, "epoch": position.epoch, "heard_h": round(position.heard_s / 3600, 3),
                 "processor_min": round(position.processor_s / 60, 2), "loss": round(loss, 4)}  # fmt: skip
        self.curve.append({**point, "held_out": self.held_out()})
        self.progress.log(json.dumps(self.curve[-1]))

    def save(self) -> None:
        """Everything that `restore` needs, whole or not at all."""
        tensors: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            tensors[f"weight/{name}"] = parameter.detach()
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{key}/{name}"] = value
        with replacing_folder(self.folder / _CHECKPOINT) as temporary:
            write_tensors(temporary / _STATE, tensors)
            write_json(temporary / _POSITION, dataclasses.asdict(self.position))
            write_json(temporary / _CURVE, self.curve)
        write_json(self.folder / _CURVE, self.curve)

    def restore(self) -> None:
        """Go back to the checkpoint, if there is one."""
        folder = self.folder / _CHECKPOINT
        if not folder.is_dir():
            return
        self.position = Position(**json.loads((folder / _POSITION).read_text()))
        self.curve = json.loads((folder / _CURVE).read_text())
        parameters = self.parameters
        for key, tensor in load_file(folder / _STATE).items():
            kind, name = key.split("/", 1)
            if kind == "weight":
                parameters[name].data.copy_(tensor)
            else:
                self.optimizer.state[parameters[name]][kind] = tensor


def _objective(settings: Settings, lesson: Lesson, model: Wav2Vec2Model) -> Objective:
    if settings.objective == "distillation":
        return Distillation(settings.width, lesson)
    if settings.objective == "clusters":
        return MaskedClusters(settings.width, lesson)
    return Contrastive(settings.width, model.config.conv_dim[-1])


def _optimizer(settings: Settings, model: Wav2Vec2Model, objective: Objective) -> torch.optim.Optimizer:
    layers = [*model.encoder.layers.parameters(), *model.encoder.layer_norm.parameters()]
    known = {id(parameter) for parameter in layers}
    others = [parameter for parameter in [*model.parameters(), *objective.parameters()] if id(parameter) not in known]
    groups = [{"params": layers, "lr": settings.layer_rate}, {"params": others, "lr": settings.rate}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.01, fused=True)


def _claimed(folder: Path, settings: Settings) -> None:
    """Make the folder this run's, or see that it is.

    Raises:
        ConfigError: it holds a run with other settings.
    """
    path = folder / _SETTINGS
    wanted = dataclasses.asdict(settings)
    found = json.loads(path.read_text()) if path.is_file() else wanted
    if differing := [name for name in wanted if found.get(name) != wanted[name]]:
        name = differing[0]
        raise ConfigError(f"{folder}: holds a run with {name} {found.get(name)!r}, not {wanted[name]!r}; wanted the same, or another --output")  # fmt: skip  # noqa: E501
    write_json(path, wanted)


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


@click.command(cls=Command, help=__doc__)
@click.option("--output", type=click.Path(path_type=Path), default=DEFAULT / "run", show_default=True)
@click.option("--lesson", type=click.Path(path_type=Path), default=DEFAULT / "lesson", show_default=True)
@click.option("--objective", type=click.Choice(["distillation", "clusters", "contrastive"]), default="distillation", show_default=True)  # fmt: skip  # noqa: E501
@click.option("--front", type=click.Choice(sorted(FRONTS)), default="filterbank", show_default=True)
@click.option("--norm", type=click.Choice(["group", "layer"]), default="group", show_default=True, help="Of the convolutions.")  # fmt: skip  # noqa: E501
@click.option("--width", type=int, default=384, show_default=True)
@click.option("--layers", type=int, default=4, show_default=True)
@click.option("--rate", type=float, default=1e-3, show_default=True, help="Peak learning rate below the layers.")
@click.option("--layer-rate", type=float, default=1e-3, show_default=True, help="Peak learning rate of the layers.")
@click.option("--batch-s", type=float, default=16.0, show_default=True, help="Seconds of speech in a step.")
@click.option("--warmup", type=int, default=100, show_default=True, help="Steps in which the rates rise.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--steps", type=int, default=10_000, show_default=True, help="Where to stop, counted from the beginning.")
@click.option("--finish", type=int, help="Train no further; let the rate fall over so many steps and write a model.")
@click.option("--checkpoint-minutes", type=float, default=3.0, show_default=True)
@click.option("--threads", type=int, default=1, show_default=True)
def main(
    output: Path, lesson: Path, steps: int, finish: int | None, checkpoint_minutes: float, threads: int, **settings: Any
) -> None:
    torch.set_num_threads(threads)
    signal.signal(signal.SIGTERM, _stop)
    _claimed(output, Settings(**settings))
    run = Run(Settings(**settings), Lesson.open(lesson), output)
    trained = sum(parameter.numel() for parameter in run.model.parameters())
    run.progress.log(f"{trained:,} parameters, step {run.position.step}, {len(run.feeder.trained)} utterances")
    if finish is not None:
        click.echo(run.finish(finish))
    else:
        run.go(steps, checkpoint_minutes)


if __name__ == "__main__":
    main()
