"""The candidates of the planner: presets for models, at the usual or another depth, learning rate or size of steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from speechxfer.config import HEADS, FinetuneConfig, PlanConfig, TrainingConfig
from speechxfer.transfer.plan import TransferPlan
from speechxfer.transfer.presets import PRESETS

#: Other learning rates and seconds of audio in a step, relative to the usual ones, the most promising first.
_RATES, _STEPS = (3.0, 1 / 3), (0.5,)


@dataclass(frozen=True)
class Candidate:
    """A model and plan settings."""

    model: str
    preset: str
    #: Plan settings that override those of the preset.
    changes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    #: Seconds of audio in a step; None for those of the run.
    batch_seconds: float | None = None

    @property
    def plan(self) -> PlanConfig:
        """The plan settings."""
        return PlanConfig(preset=self.preset, **self.changes)

    def config(self, base: FinetuneConfig) -> FinetuneConfig:
        """The settings of a run, with everything else as in `base`."""
        seconds = self.batch_seconds or base.training.batch_seconds
        training = replace(base.training, batch_seconds=seconds)
        return replace(base, model=self.model, plan=self.plan, training=training)

    @property
    def name(self) -> str:
        """The name within one model: "fine-tune", "fine-tune, encoder_lr 0.001"."""
        changes = [f"{name} {value:.2g}" if isinstance(value, float) else f"{name} {value}" for name, value in self.changes.items()]  # fmt: skip  # noqa: E501
        step = [f"batch_seconds {self.batch_seconds:g}"] if self.batch_seconds else []
        return ", ".join([self.preset, *changes, *step])

    def title(self, *, several: bool) -> str:
        """The name, with that of the model if there are several models."""
        return f"{Path(self.model).name}: {self.name}" if several else self.name


def candidates(
    models: Sequence[str], presets: Sequence[str], depths: Mapping[str, int], *, vary: bool
) -> list[Candidate]:
    """The candidates of the first round, most promising first: the presets, and half of the layers trained.

    Args:
        presets: most promising first.
        depths: layers of each model's encoder.
        vary: add the other depth.
    """
    found: list[Candidate] = []
    for preset in presets:
        found += [Candidate(model, preset) for model in models]
        if vary and preset == "fine-tune-top":
            # Where that is not the upper third anyway.
            found += [
                Candidate(model, preset, {"train_top": depth // 2})
                for model, depth in depths.items()
                if depth // 2 > max(1, round(depth / 3))
            ]
    return found


def hastened(one: Candidate, head: str) -> Candidate:
    """The same at a higher rate of the encoder, where whole layers of it are trained."""
    settings = {**PRESETS[one.preset], **one.changes}
    if settings.get("train_top") == 0 or "lora_rank" in settings or "encoder_lr" in settings:
        return one
    rates: tuple[float, float] = HEADS.find(head).load().rates
    return replace(one, changes={**one.changes, "encoder_lr": float(f"{_RATES[0] * rates[0]:.2g}")})


def variations(one: Candidate, base: FinetuneConfig, plan: TransferPlan) -> list[Candidate]:
    """The same at other learning rates and with smaller steps, most promising first.

    Args:
        plan: of the candidate, whose rates are varied.
    """
    is_frozen = plan.seam == plan.depth
    name, rate = ("head_lr", plan.head_lr) if is_frozen else ("encoder_lr", plan.encoder_lr)
    scales = [scale for scale in _RATES if scale < 1 or name not in one.changes]  # once is enough
    other = [replace(one, changes={**one.changes, name: float(f"{scale * rate:.2g}")}) for scale in scales]
    seconds = one.batch_seconds or base.training.batch_seconds
    if base.training.batch_seconds != TrainingConfig().batch_seconds:
        return other  # somebody chose it
    smaller = [replace(one, batch_seconds=scale * seconds) for scale in _STEPS]
    return [*other[:1], *smaller, *other[1:]]
