"""The candidates of the planner: presets for models, at the usual or another learning rate or depth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from speechxfer.config import HEADS, FinetuneConfig, PlanConfig
from speechxfer.planner.probe import Probe
from speechxfer.transfer.presets import PRESETS

#: Other learning rates, relative to the usual one.
_SCALES = (1 / 3, 3.0)
#: Number of presets that are tried at them, most promising first.
_SCALED = 2


@dataclass(frozen=True)
class Candidate:
    """A model and plan settings."""

    model: str
    preset: str
    #: Plan settings that override those of the preset.
    changes: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def plan(self) -> PlanConfig:
        """The plan settings."""
        return PlanConfig(preset=self.preset, **self.changes)

    def config(self, base: FinetuneConfig) -> FinetuneConfig:
        """The settings of a run, with everything else as in `base`."""
        return replace(base, model=self.model, plan=self.plan)

    @property
    def name(self) -> str:
        """The name within one model: "fine-tune", "fine-tune, encoder_lr 0.001"."""
        changes = [f"{name} {value:.2g}" if isinstance(value, float) else f"{name} {value}" for name, value in self.changes.items()]  # fmt: skip  # noqa: E501
        return ", ".join([self.preset, *changes])

    def title(self, *, several: bool) -> str:
        """The name, with that of the model if there are several models."""
        return f"{Path(self.model).name}: {self.name}" if several else self.name


def candidates(
    models: Sequence[str], presets: Sequence[str], probes: Mapping[str, Probe], head: str, *, vary: bool
) -> list[Candidate]:
    """All candidates, most promising first: the presets, then variations of them.

    Args:
        presets: most promising first.
        probes: by model; top layers above the best one may be removed.
        vary: add other learning rates and depths.
    """
    plain = [Candidate(model, preset) for preset in presets for model in models]
    if not vary:
        return plain
    varied = [candidate for model in models for candidate in _varied(model, presets, probes[model], head)]
    return [*plain, *varied]


def _varied(model: str, presets: Sequence[str], probe: Probe, head: str) -> Iterable[Candidate]:
    for preset in presets[:_SCALED]:
        name, rate = _rate(preset, head)
        yield from (Candidate(model, preset, {name: float(f"{scale * rate:.2g}")}) for scale in _SCALES)
    # Layers above the best one are specific to another task.
    if "lower-layers" in presets and (above := probe.depth - (probe.best.seam or 0)) and above < probe.depth:
        yield Candidate(model, "lower-layers", {"drop_top": above})


def _rate(preset: str, head: str) -> tuple[str, float]:
    """Name and usual value of the learning rate to vary."""
    settings = PRESETS[preset]
    encoder_lr, head_lr = usual_rates(head)
    if settings.get("train_top") == 0:
        return "head_lr", settings.get("head_lr", head_lr)
    return "encoder_lr", settings.get("encoder_lr", encoder_lr)


def usual_rates(head: str) -> tuple[float, float]:
    """Default peak learning rates of encoder and head."""
    rates: tuple[float, float] = HEADS.find(head).load().rates
    return rates
