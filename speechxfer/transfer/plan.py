"""Which parts of a model are frozen, which are trained, from which epoch on, and at which learning rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

from torch import nn

from speechxfer import adapters
from speechxfer.config import PlanConfig
from speechxfer.encoders.base import POOLING, Encoder, Freezable, LayerGroup
from speechxfer.errors import ConfigError
from speechxfer.heads.base import Head
from speechxfer.model import SpeechModel
from speechxfer.transfer.presets import settled
from speechxfer.transfer.schedule import FirstEpochs, first_epochs

#: Learning rate of adapters relative to that of whole weights (Hu et al., 2022; Schulman et al., 2025, use 10). With a
#: factor of 20, Whisper tiny.en learned nothing from 5 minutes of prompts.
_ADAPTER_RATE_FACTOR = 10.0
#: Learning rate of attention adapters, with which those of MMS are usually trained.
_ATTENTION_ADAPTER_RATE = 1e-3


@dataclass(frozen=True)
class Adapters:
    """LoRA adapters that are trained instead of the layers."""

    rank: int
    alpha: int
    feed_forward: bool = False

    def matrices(self, part: Freezable) -> tuple[str, ...]:
        """Names of the matrices of an encoder or a head that are adapted."""
        return part.attention_matrices + (part.feed_forward_matrices if self.feed_forward else ())


class Row(TypedDict):
    """A part of a model in the plan's table, in plain JSON values."""

    part: str
    #: "frozen", "trained", "new" (trained from random weights), or "adapters" (only they are trained).
    state: str
    #: Peak learning rate; None where frozen.
    rate: float | None
    #: First epoch in which it is trained, counted from 1; None where frozen.
    first_epoch: int | None
    #: Trained parameters; of a frozen part, all of its parameters.
    parameters: int


#: Columns of `TransferPlan.rows`.
COLUMNS = ("part", "state", "rate", "from epoch", "parameters")


@dataclass(frozen=True)
class TransferPlan:
    """The plan settings applied to one encoder and head.

    Parts of the encoder are numbered from the bottom: 0 is the front end, l + 1 is layer l.
    """

    #: First epoch of each part of the encoder.
    first_epochs: FirstEpochs
    encoder_lr: float
    head_lr: float
    #: Learning rate of each part relative to the part above it.
    layer_decay: float = 1.0
    #: Layers of the head up to this one are frozen, where 0 is its embedding; -1 if the whole head is trained.
    head_seam: int = -1
    #: None if the layers themselves are trained.
    adapters: Adapters | None = None
    #: Parts from this one on start from random weights.
    new_from: int | None = None
    #: Whether only the family's own adapters inside the layers are trained.
    attention_adapters: bool = False

    @classmethod
    def for_model(
        cls, config: PlanConfig, encoder: Encoder, head: Head | None, *, epochs: int, new_head: bool = True
    ) -> TransferPlan:
        """Apply the settings to an encoder, as `reshape` returns it, and a head.

        Args:
            config: the settings.
            encoder: after `reshape`.
            head: None for the encoder alone.
            epochs: of the run.
            new_head: whether the head is untrained.

        Raises:
            ConfigError: a layer is named that does not exist, or nothing would be trained.
        """
        config = settled(config, encoder.depth)
        schedule = first_epochs(
            config, encoder.depth, epochs=epochs, head_only_ratio=encoder.head_only_ratio, new_head=new_head
        )
        chosen = _adapters(config)
        layered = head is not None and bool(head.attention_matrices)
        usual = (head or Head).rates
        inside = config.attention_adapters is not None
        usual_lr = _ATTENTION_ADAPTER_RATE if inside else usual[0] * (_ADAPTER_RATE_FACTOR if chosen else 1.0)
        encoder_lr = config.encoder_lr or usual_lr
        # Adapters have one learning rate in the encoder and the head.
        head_lr = config.head_lr or (encoder_lr if chosen and layered else usual[1])
        new_from = 0 if config.from_scratch else encoder.depth + 1 - config.reinit_top if config.reinit_top else None
        plan = cls(
            schedule, encoder_lr, head_lr, config.layer_decay or 1.0, _head_seam(config, head), chosen, new_from, inside
        )  # fmt: skip
        plan._check(config, head, layered=layered)
        return plan

    def _check(self, config: PlanConfig, head: Head | None, *, layered: bool) -> None:
        encoder_frozen = all(epoch is None for epoch in self.first_epochs)
        if head is not None and encoder_frozen and self.head_seam == _height(head):
            raise ConfigError("plan: nothing is trained, neither the encoder nor the head; train at least one layer (--train-top 1)")  # fmt: skip  # noqa: E501
        if config.reinit_top and (frozen := [p for p in range(self.new_from or 0, self.depth + 1) if self.first_epochs[p] is None]):  # fmt: skip  # noqa: E501
            raise ConfigError(f"plan.reinit_top is {config.reinit_top}, but layer {frozen[-1] - 1} is frozen and would stay random; train it too (--train-top {config.reinit_top})")  # fmt: skip  # noqa: E501
        if self.adapters and self.attention_adapters:
            raise ConfigError("plan.lora_rank and plan.attention_adapters are two kinds of adapters; give one of them")
        if not (self.adapters or self.attention_adapters):
            return
        setting = "attention_adapters" if self.attention_adapters else "lora_rank"
        if config.reinit_top:
            raise ConfigError(f"plan.reinit_top is {config.reinit_top}, but with adapters (plan.{setting}) those random weights would not be trained; leave one of them out")  # fmt: skip  # noqa: E501
        if encoder_frozen and not layered and head is not None:
            raise ConfigError(f"plan.{setting} is {getattr(config, setting)!r}, but no layer is trained that could be adapted; leave it out, or train some (--train-top 1)")  # fmt: skip  # noqa: E501
        for name, wanted in (("freeze_frontend", False), ("train_embedding", True)):
            if getattr(config, name) is wanted:
                raise ConfigError(f"plan.{name} is {str(wanted).lower()}, but with adapters (plan.{setting}) only a new head is trained as a whole; leave one of them out")  # fmt: skip  # noqa: E501

    @property
    def depth(self) -> int:
        """Layers of the encoder."""
        return len(self.first_epochs) - 1

    @property
    def seam(self) -> int | None:
        """The layer index below which everything is frozen in all epochs; None if the front end is trained."""
        return _below([part for part, epoch in enumerate(self.first_epochs) if epoch is not None], self.depth)

    @property
    def lowest_seam(self) -> int | None:
        """The lowest seam of all epochs; None if the front end is trained in all of them."""
        seams = [self.seam_at(epoch) for epoch in {0, *(epoch for epoch in self.first_epochs if epoch is not None)}]
        return min((seam for seam in seams if seam is not None), default=None)

    def seam_at(self, epoch: int) -> int | None:
        """The seam in this epoch (counted from 0); None if the front end is trained."""
        return _below([part for part in range(self.depth + 1) if self._is_trained(part, epoch)], self.depth)

    def _is_trained(self, part: int, epoch: int) -> bool:
        first = self.first_epochs[part]
        return first is not None and first <= epoch

    def is_frozen(self, group: LayerGroup) -> bool:
        """Whether a part of the encoder is frozen in all epochs."""
        return self.first_epochs[group.seam] is None

    def attach(self, encoder: Encoder, head: Head | None) -> None:
        """Add the adapters, if the plan has any; called once, before `apply`.

        Raises:
            ConfigError: PEFT is not installed.
        """
        if self.adapters is None:
            return
        for part in (encoder, head) if head else (encoder,):
            modules = [module for group in self._trained_groups(part) for module in group.modules]
            matrices = self.adapters.matrices(part)
            adapters.attach(part, modules, matrices, rank=self.adapters.rank, alpha=self.adapters.alpha)

    def apply(self, model: SpeechModel, epoch: int) -> None:
        """Freeze the parts that are frozen in this epoch: no gradients, and eval mode even after `model.train()`."""
        model.encoder.freeze(
            [group for group in model.encoder.layer_groups() if not self._is_trained(group.seam, epoch)]
        )
        model.head.freeze([group for group in model.head.layer_groups() if group.seam <= self.head_seam])
        trained = {id(parameter) for parameter in self.trained(model).values()}
        for parameter in model.parameters():
            parameter.requires_grad_(parameter.requires_grad and id(parameter) in trained)

    def trained(self, model: SpeechModel) -> dict[str, nn.Parameter]:
        """All parameters that are trained in any epoch, by name."""
        chosen = {
            id(parameter)
            for part in (model.encoder, model.head)
            for group in self._trained_groups(part)
            for parameter in self._trained_parameters(part, group)
        }
        return {name: parameter for name, parameter in model.named_parameters() if id(parameter) in chosen}

    def parameter_groups(self, model: SpeechModel, weight_decay: float) -> list[dict[str, object]]:
        """Parameter groups for an optimizer: a learning rate for each part, and weight decay for matrices only.

        `first_epoch` of a group is counted from 0.
        """
        alike: dict[tuple[float, float, int], list[nn.Parameter]] = {}
        for part in (model.encoder, model.head):
            for group in self._trained_groups(part):
                for parameter in self._trained_parameters(part, group):
                    decay = weight_decay if parameter.ndim > 1 else 0.0
                    alike.setdefault((self._rate(part, group), decay, self._first_epoch(part, group)), []).append(
                        parameter
                    )
        return [
            {"params": chosen, "lr": rate, "weight_decay": decay, "first_epoch": epoch}
            for (rate, decay, epoch), chosen in alike.items()
        ]

    def table(self, encoder: Encoder, head: Head | None) -> list[Row]:
        """Every part from the bottom up, with adapters if they are attached."""
        return [self._row(part, group) for part in (encoder, head) if part is not None for group in part.layer_groups()]

    def rows(self, encoder: Encoder, head: Head | None) -> list[tuple[str, str, str, str, str]]:
        """The table as text, with the columns `COLUMNS`."""
        return [
            (
                row["part"],
                row["state"],
                f"{row['rate']:.3g}" if row["rate"] else "",
                str(row["first_epoch"] or ""),
                f"{row['parameters']:,}",
            )
            for row in self.table(encoder, head)
        ]

    def num_trained(self, model: SpeechModel) -> int:
        """Number of trained parameters."""
        return _size(self.trained(model).values())

    def _row(self, part: Freezable, group: LayerGroup) -> Row:
        trained = self._trained_parameters(part, group) if group in self._trained_groups(part) else []
        if not trained:
            whole = _size(parameter for module in group.modules for parameter in module.parameters())
            size = whole - _size(_of_adapters(group))
            return {"part": group.name, "state": "frozen", "rate": None, "first_epoch": None, "parameters": size}
        is_encoder = isinstance(part, Encoder)
        is_new = is_encoder and self.new_from is not None and group.seam >= self.new_from
        return {
            "part": group.name,
            "state": "adapters" if len(trained) < len(group.parameters()) else "new" if is_new else "trained",
            "rate": self._rate(part, group),
            "first_epoch": self._first_epoch(part, group) + 1,
            "parameters": _size(trained),
        }

    def _trained_groups(self, part: Freezable) -> list[LayerGroup]:
        """Groups of the encoder or the head that are trained in any epoch."""
        if isinstance(part, Encoder):
            return [group for group in part.layer_groups() if not self.is_frozen(group)]
        return [group for group in part.layer_groups() if group.seam > self.head_seam]

    def _trained_parameters(self, part: Freezable, group: LayerGroup) -> list[nn.Parameter]:
        """The trained parameters of a group that is not frozen."""
        if group.name == POOLING:  # where it is learned it is new, so it is trained as a whole
            return group.parameters()
        if self.attention_adapters and isinstance(part, Encoder):
            return part.adapter_parameters(group)
        return _of_adapters(group) if self._has_adapters(part) else group.parameters()

    def _has_adapters(self, part: Freezable) -> bool:
        return self.adapters is not None and bool(part.attention_matrices)

    def _rate(self, part: Freezable, group: LayerGroup) -> float:
        if not isinstance(part, Encoder):
            return self.head_lr
        return self.encoder_lr * self.layer_decay ** (self.depth - group.seam)

    def _first_epoch(self, part: Freezable, group: LayerGroup) -> int:
        """First epoch, counted from 0, of a group that is trained."""
        return (self.first_epochs[group.seam] or 0) if isinstance(part, Encoder) else 0


def _below(trained: Iterable[int], depth: int) -> int | None:
    """The seam below the lowest trained part: `depth` if none is trained, None if the front end is."""
    lowest = min(trained, default=depth + 1)
    return lowest - 1 if lowest else None


def _adapters(config: PlanConfig) -> Adapters | None:
    if not config.lora_rank:
        return None
    return Adapters(config.lora_rank, config.lora_alpha or 2 * config.lora_rank, bool(config.lora_feed_forward))


def _height(head: Head) -> int:
    """Number of layers of a head."""
    return max(group.seam for group in head.layer_groups())


def _head_seam(config: PlanConfig, head: Head | None) -> int:
    if head is None:
        return -1
    height = _height(head)
    if config.head_top is not None and config.head_top > height:
        raise ConfigError(f"plan.head_top is {config.head_top}, but the {head.kind} head has {height} layers")
    if config.head_top is not None and config.head_top < height:
        return height - config.head_top
    return -1 if config.train_embedding or config.from_scratch else 0


def _of_adapters(group: LayerGroup) -> list[nn.Parameter]:
    return [parameter for module in group.modules for parameter in adapters.parameters(module)]


def _size(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
