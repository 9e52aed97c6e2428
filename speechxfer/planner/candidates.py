"""What a planner chooses among: a preset for a model, at the usual learning rate or another, at a depth of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from speechxfer.config import HEADS, FinetuneConfig, PlanConfig
from speechxfer.planner.probe import Probe
from speechxfer.transfer.presets import PRESETS

#: Other learning rates are this many times the usual one.
_SCALES = (1 / 3, 3.0)
#: How many of the likeliest presets are tried at them.
_SCALED = 2


@dataclass(frozen=True)
class Candidate:
    """One way to transfer one model."""

    model: str
    preset: str
    #: What replaces the preset's own settings, as `PlanConfig` names them.
    changes: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def plan(self) -> PlanConfig:
        """As settings."""
        return PlanConfig(preset=self.preset, **self.changes)

    def config(self, base: FinetuneConfig) -> FinetuneConfig:
        """A run of it with everything else as in `base`."""
        return replace(base, model=self.model, plan=self.plan)

    @property
    def name(self) -> str:
        """Within one model: "fine-tune", "fine-tune, encoder_lr 0.001"."""
        changes = [f"{name} {value:.2g}" if isinstance(value, float) else f"{name} {value}" for name, value in self.changes.items()]  # fmt: skip  # noqa: E501
        return ", ".join([self.preset, *changes])

    def title(self, *, several: bool) -> str:
        """With the model's name where there are several."""
        return f"{Path(self.model).name}: {self.name}" if several else self.name


def candidates(
    models: Sequence[str], presets: Sequence[str], probes: Mapping[str, Probe], head: str, *, vary: bool
) -> list[Candidate]:
    """All candidates in the order in which they are expected to do well: presets as they are, then variations.

    Args:
        presets: the likeliest first.
        probes: by model; they say from where on layers may be left out.
        vary: whether other learning rates and depths are wanted.
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
    # Above the layer that tells the task best, layers are particular to another one.
    if "lower-layers" in presets and (above := probe.depth - (probe.best.cut or 0)) and above < probe.depth:
        yield Candidate(model, "lower-layers", {"drop_top": above})


def _rate(preset: str, head: str) -> tuple[str, float]:
    """The learning rate that matters, by its name, and what it usually is."""
    settings = PRESETS[preset]
    encoder_lr, head_lr = usual_rates(head)
    if settings.get("train_top") == 0:
        return "head_lr", settings.get("head_lr", head_lr)
    return "encoder_lr", settings.get("encoder_lr", encoder_lr)


def usual_rates(head: str) -> tuple[float, float]:
    """Peak learning rates of encoder and head where nothing else is asked for."""
    rates: tuple[float, float] = HEADS.find(head).load().rates
    return rates
