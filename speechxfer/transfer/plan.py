"""How much of a model moves: which parts stay frozen, which are trained, and at what rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from speechxfer.config import PlanConfig
from speechxfer.encoders.base import Encoder, LayerGroup
from speechxfer.errors import ConfigError
from speechxfer.model import SpeechModel


@dataclass(frozen=True)
class TransferPlan:
    """A configuration fitted to one encoder.

    `seam` is the cut below which everything is frozen, so that it can be computed once; None when even the
    front end is trained.
    """

    seam: int | None
    encoder_lr: float
    head_lr: float

    @classmethod
    def for_encoder(cls, config: PlanConfig, encoder: Encoder) -> TransferPlan:
        """Fit the wish to the encoder.

        Raises:
            ConfigError: more layers are named than there are.
        """
        for name, count in (("freeze_below", config.freeze_below), ("train_top", config.train_top)):
            if count is not None and count > encoder.depth:
                raise ConfigError(f"plan.{name} is {count}, but the encoder has {encoder.depth} layers")
        top = config.train_top
        frozen_layers = (config.freeze_below or 0) if top is None else encoder.depth - top
        nothing_frozen = frozen_layers == 0 and not config.freeze_frontend
        return cls(None if nothing_frozen else frozen_layers, config.encoder_lr, config.head_lr)

    def is_frozen(self, group: LayerGroup) -> bool:
        """Whether a part of the encoder stays as it is."""
        return self.seam is not None and group.seam <= self.seam

    def apply(self, model: SpeechModel) -> None:
        """Freeze what is to be frozen: no gradient, and eval mode that survives `model.train()`."""
        groups = model.encoder.layer_groups()
        model.encoder.freeze([group for group in groups if self.is_frozen(group)])

    def parameter_groups(self, model: SpeechModel, weight_decay: float) -> list[dict[str, object]]:
        """For an optimiser: encoder and head at their own rates, matrices with decay, vectors without."""
        groups: list[dict[str, object]] = []
        parts: list[tuple[nn.Module, float]] = [(model.encoder, self.encoder_lr), (model.head, self.head_lr)]
        for module, rate in parts:
            trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
            for decay, chosen in (
                (weight_decay, [parameter for parameter in trained if parameter.ndim > 1]),
                (0.0, [parameter for parameter in trained if parameter.ndim <= 1]),
            ):
                if chosen:
                    groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
        return groups

    def rows(self, model: SpeechModel) -> list[tuple[str, str, str, str]]:
        """For a table: (part, 'frozen' or 'trained', rate, number of parameters), from the bottom up."""
        rows = []
        for group in model.encoder.layer_groups():
            frozen = self.is_frozen(group)
            state, rate = ("frozen", "") if frozen else ("trained", f"{self.encoder_lr:g}")
            rows.append((group.name, state, rate, f"{_size(group.parameters()):,}"))
        head = model.head
        return [*rows, (f"{head.kind} head", "trained", f"{self.head_lr:g}", f"{_size(head.parameters()):,}")]

    def num_trained(self, model: SpeechModel) -> int:
        """Parameters that move."""
        parts = [group.parameters() for group in model.encoder.layer_groups() if not self.is_frozen(group)]
        return sum(map(_size, [*parts, model.head.parameters()]))


def _size(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
