"""How much of a model moves: which parts stay frozen, which are trained, and at what rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from speechxfer.config import PlanConfig
from speechxfer.encoders.base import Encoder, LayerGroup
from speechxfer.errors import ConfigError
from speechxfer.heads.base import Head
from speechxfer.model import SpeechModel


@dataclass(frozen=True)
class TransferPlan:
    """A configuration fitted to one encoder.

    `seam` is the cut below which everything stays frozen, so that it can be computed once; None when even the
    front end is trained. With gradual unfreezing the cut begins at the top and comes down to it.
    """

    seam: int | None
    encoder_lr: float
    head_lr: float
    depth: int
    unfreeze_every: int = 0
    #: Of the head: layers below this one stay frozen, and 0 is what stands below its first layer.
    head_seam: int = -1

    @classmethod
    def for_model(cls, config: PlanConfig, encoder: Encoder, head: Head | None) -> TransferPlan:
        """Fit the wish to the encoder and the head.

        Raises:
            ConfigError: more layers are named than there are, or nothing would be trained.
        """
        for name, count in (("freeze_below", config.freeze_below), ("train_top", config.train_top)):
            if count is not None and count > encoder.depth:
                raise ConfigError(f"plan.{name} is {count}, but the encoder has {encoder.depth} layers")
        top = config.train_top
        frozen_layers = (config.freeze_below or 0) if top is None else encoder.depth - top
        nothing_frozen = frozen_layers == 0 and not config.freeze_frontend
        seam = None if nothing_frozen else frozen_layers
        head_seam = _head_seam(config, head)
        if head is not None and seam == encoder.depth and head_seam == _height(head):
            raise ConfigError("plan: nothing is trained, neither the encoder nor the head; leave some layer free (--train-top 1)")  # fmt: skip  # noqa: E501
        usual = (head or Head).rates
        encoder_lr, head_lr = config.encoder_lr or usual[0], config.head_lr or usual[1]
        return cls(seam, encoder_lr, head_lr, encoder.depth, config.unfreeze_every, head_seam)

    @property
    def lowest_seam(self) -> int | None:
        """The lowest cut below which everything is frozen in some epoch; None where there never is one."""
        return 0 if self.seam is None and self.unfreeze_every else self.seam

    def seam_at(self, epoch: int) -> int | None:
        """The cut below which everything is frozen in this epoch (counted from 0)."""
        if not self.unfreeze_every:
            return self.seam
        awake = epoch // self.unfreeze_every
        return max(self.depth - awake, self.seam or 0) if awake <= self.depth else self.seam

    def is_frozen(self, group: LayerGroup) -> bool:
        """Whether a part of the encoder stays as it is to the end."""
        return self.seam is not None and group.seam <= self.seam

    def wakes(self, group: LayerGroup) -> int:
        """The epoch (counted from 0) from which a part that is not frozen is trained."""
        layer = self.depth + 1 - group.seam
        return self.unfreeze_every * (layer if group.seam > 0 else self.depth + 1)

    def apply(self, model: SpeechModel, epoch: int) -> None:
        """Freeze what is frozen in this epoch: no gradient, and eval mode that survives `model.train()`."""
        seam = self.seam_at(epoch)
        frozen = [group for group in model.encoder.layer_groups() if seam is not None and group.seam <= seam]
        model.encoder.freeze(frozen)
        model.head.freeze([group for group in model.head.layer_groups() if group.seam <= self.head_seam])

    def trained(self, model: SpeechModel) -> dict[str, nn.Parameter]:
        """All parameters that are trained in some epoch, by name."""
        groups = [group.parameters() for group in model.encoder.layer_groups() if not self.is_frozen(group)]
        groups += [group.parameters() for group in model.head.layer_groups() if group.seam > self.head_seam]
        chosen = {id(parameter) for group in groups for parameter in group}
        return {name: parameter for name, parameter in model.named_parameters() if id(parameter) in chosen}

    def parameter_groups(self, model: SpeechModel, weight_decay: float) -> list[dict[str, object]]:
        """For an optimiser: encoder and head at their own rates, matrices with decay, vectors without."""
        groups: list[dict[str, object]] = []
        moving = set(self.trained(model).values())
        parts: list[tuple[nn.Module, float]] = [(model.encoder, self.encoder_lr), (model.head, self.head_lr)]
        for module, rate in parts:
            trained = [parameter for parameter in module.parameters() if parameter in moving]
            for decay, chosen in (
                (weight_decay, [parameter for parameter in trained if parameter.ndim > 1]),
                (0.0, [parameter for parameter in trained if parameter.ndim <= 1]),
            ):
                if chosen:
                    groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
        return groups

    def rows(self, encoder: Encoder, head: Head | None) -> list[tuple[str, str, str, str]]:
        """For a table: (part, 'frozen' or 'trained', rate, number of parameters), from the bottom up."""
        rows = []
        for group in encoder.layer_groups():
            frozen = self.is_frozen(group)
            since = f" from epoch {wakes + 1}" if (wakes := self.wakes(group)) else ""
            state, rate = ("frozen", "") if frozen else (f"trained{since}", f"{self.encoder_lr:g}")
            rows.append((group.name, state, rate, f"{_size(group.parameters()):,}"))
        if head is None:
            return rows
        for group in head.layer_groups():
            frozen = group.seam <= self.head_seam
            state, rate = ("frozen", "") if frozen else ("trained", f"{self.head_lr:g}")
            rows.append((group.name, state, rate, f"{_size(group.parameters()):,}"))
        return rows

    def num_trained(self, model: SpeechModel) -> int:
        """Parameters that move."""
        return _size(self.trained(model).values())


def _height(head: Head) -> int:
    """How many layers a head has."""
    return max(group.seam for group in head.layer_groups())


def _head_seam(config: PlanConfig, head: Head | None) -> int:
    if head is None:
        return -1
    height = _height(head)
    if config.head_top is not None and config.head_top > height:
        raise ConfigError(f"plan.head_top is {config.head_top}, but the {head.kind} head has {height} layers")
    if config.head_top is not None and config.head_top < height:
        return height - config.head_top
    return -1 if config.train_embedding else 0


def _size(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
