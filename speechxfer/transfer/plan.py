"""How much of a model moves: which parts stay frozen, which are trained, from when on and at what rate."""

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
from speechxfer.transfer.schedule import Wakes, wakes

#: Adapters begin with nothing and want a higher rate than whole weights do (Hu et al., 2022; ten times as much in
#: Schulman et al., 2025). On 5 minutes of prompts twenty times as much let Whisper tiny.en learn nothing.
_FASTER = 10.0


@dataclass(frozen=True)
class Adapters:
    """Low-rank adapters that are trained instead of the layers."""

    rank: int
    alpha: int
    feed_forward: bool = False

    def matrices(self, part: Freezable) -> tuple[str, ...]:
        """Names of the matrices of an encoder or a head that they stand beside."""
        return part.attention_matrices + (part.feed_forward_matrices if self.feed_forward else ())


class Row(TypedDict):
    """A part of a model in the plan's table, as plain JSON values."""

    part: str
    #: "frozen", "trained", "new" (trained, from random weights on), or "adapters", which are trained instead.
    state: str
    #: Peak learning rate; None where frozen.
    rate: float | None
    #: Epoch, from 1, in which it is trained first; None where frozen.
    wakes: int | None
    #: Of what is trained of the part, or where nothing is, of all of it.
    parameters: int


#: Of the table for reading.
COLUMNS = ("part", "state", "rate", "from epoch", "parameters")


@dataclass(frozen=True)
class TransferPlan:
    """A configuration fitted to one encoder and head."""

    #: When each part of the encoder is trained, by place.
    wakes: Wakes
    encoder_lr: float
    head_lr: float
    #: The rate of each layer as a share of that of the layer above; what stands below the first layer comes last.
    layer_decay: float = 1.0
    #: Of the head: layers below this one stay frozen, and 0 is what stands below its first layer.
    head_seam: int = -1
    #: Trained instead of layers that could be; None where the layers are.
    adapters: Adapters | None = None
    #: Places from this one on begin with random weights.
    new_from: int | None = None

    @classmethod
    def for_model(
        cls, config: PlanConfig, encoder: Encoder, head: Head | None, *, epochs: int, new_head: bool = True
    ) -> TransferPlan:
        """Fit the wish to the encoder, as `reshape` left it, to the head, and to a run of so many epochs.

        Raises:
            ConfigError: a layer is named that does not exist, or nothing would be trained.
        """
        config = settled(config, encoder.depth)
        schedule = wakes(
            config, encoder.depth, epochs=epochs, head_only_ratio=encoder.head_only_ratio, new_head=new_head
        )
        chosen = _adapters(config)
        layered = head is not None and bool(head.attention_matrices)
        usual = (head or Head).rates
        encoder_lr = config.encoder_lr or usual[0] * (_FASTER if chosen else 1.0)
        # Adapters have one rate, wherever they stand.
        head_lr = config.head_lr or (encoder_lr if chosen and layered else usual[1])
        new_from = 0 if config.from_scratch else encoder.depth + 1 - config.reinit_top if config.reinit_top else None
        plan = cls(schedule, encoder_lr, head_lr, config.layer_decay or 1.0, _head_seam(config, head), chosen, new_from)
        plan._check(config, head, layered=layered)
        return plan

    def _check(self, config: PlanConfig, head: Head | None, *, layered: bool) -> None:
        idle = all(epoch is None for epoch in self.wakes)
        if head is not None and idle and self.head_seam == _height(head):
            raise ConfigError("plan: nothing is trained, neither the encoder nor the head; leave some layer free (--train-top 1)")  # fmt: skip  # noqa: E501
        if config.reinit_top and (frozen := [p for p in range(self.new_from or 0, self.depth + 1) if self.wakes[p] is None]):  # fmt: skip  # noqa: E501
            raise ConfigError(f"plan.reinit_top is {config.reinit_top}, but layer {frozen[-1] - 1} is frozen and would stay random; train it as well (--train-top {config.reinit_top})")  # fmt: skip  # noqa: E501
        if self.adapters is None:
            return
        if config.reinit_top:
            raise ConfigError(f"plan.reinit_top is {config.reinit_top}, but with adapters (plan.lora_rank) those random weights would stay as they are; leave one of them out")  # fmt: skip  # noqa: E501
        if idle and not layered and head is not None:
            raise ConfigError(f"plan.lora_rank is {config.lora_rank}, but no layer is trained for adapters to stand in; leave it out, or train some (--train-top 1)")  # fmt: skip  # noqa: E501
        for name, wanted in (("freeze_frontend", False), ("train_embedding", True)):
            if getattr(config, name) is wanted:
                raise ConfigError(f"plan.{name} is {str(wanted).lower()}, but with adapters (plan.lora_rank) whole weights stay as they are outside a new head; leave one of them out")  # fmt: skip  # noqa: E501

    @property
    def depth(self) -> int:
        """Layers of the encoder."""
        return len(self.wakes) - 1

    @property
    def seam(self) -> int | None:
        """The cut below which everything stays frozen to the end; None where even the front end is trained."""
        return _below([place for place, epoch in enumerate(self.wakes) if epoch is not None], self.depth)

    @property
    def lowest_seam(self) -> int | None:
        """The lowest cut below which everything is frozen in some epoch; None where there never is one."""
        seams = [self.seam_at(epoch) for epoch in {0, *(epoch for epoch in self.wakes if epoch is not None)}]
        return min((seam for seam in seams if seam is not None), default=None)

    def seam_at(self, epoch: int) -> int | None:
        """The cut below which everything is frozen in this epoch (counted from 0)."""
        return _below([place for place in range(self.depth + 1) if self._is_awake(place, epoch)], self.depth)

    def _is_awake(self, place: int, epoch: int) -> bool:
        first = self.wakes[place]
        return first is not None and first <= epoch

    def is_frozen(self, group: LayerGroup) -> bool:
        """Whether a part of the encoder stays as it is to the end."""
        return self.wakes[group.seam] is None

    def attach(self, encoder: Encoder, head: Head | None) -> None:
        """Set the adapters in place, where the plan has some; to be called once, before `apply`.

        Raises:
            ConfigError: the library for them is not installed.
        """
        if self.adapters is None:
            return
        for part in (encoder, head) if head else (encoder,):
            modules = [module for group in self._free(part) for module in group.modules]
            matrices = self.adapters.matrices(part)
            adapters.attach(part, modules, matrices, rank=self.adapters.rank, alpha=self.adapters.alpha)

    def apply(self, model: SpeechModel, epoch: int) -> None:
        """Freeze what is frozen in this epoch: no gradient, and eval mode that survives `model.train()`."""
        model.encoder.freeze([group for group in model.encoder.layer_groups() if not self._is_awake(group.seam, epoch)])
        model.head.freeze([group for group in model.head.layer_groups() if group.seam <= self.head_seam])
        moving = {id(parameter) for parameter in self.trained(model).values()}
        for parameter in model.parameters():
            parameter.requires_grad_(parameter.requires_grad and id(parameter) in moving)

    def trained(self, model: SpeechModel) -> dict[str, nn.Parameter]:
        """All parameters that are trained in some epoch, by name."""
        chosen = {
            id(parameter)
            for part in (model.encoder, model.head)
            for group in self._free(part)
            for parameter in self._moving(part, group)
        }
        return {name: parameter for name, parameter in model.named_parameters() if id(parameter) in chosen}

    def parameter_groups(self, model: SpeechModel, weight_decay: float) -> list[dict[str, object]]:
        """For an optimiser: each part at its own rate, matrices with decay, vectors without.

        `wakes` is the epoch, from 0, from which a group is trained.
        """
        alike: dict[tuple[float, float, int], list[nn.Parameter]] = {}
        for part in (model.encoder, model.head):
            for group in self._free(part):
                for parameter in self._moving(part, group):
                    decay = weight_decay if parameter.ndim > 1 else 0.0
                    alike.setdefault((self._rate(part, group), decay, self._awake(part, group)), []).append(parameter)
        return [
            {"params": chosen, "lr": rate, "weight_decay": decay, "wakes": epoch}
            for (rate, decay, epoch), chosen in alike.items()
        ]

    def table(self, encoder: Encoder, head: Head | None) -> list[Row]:
        """Every part from the bottom up, adapters included once they are attached."""
        return [self._row(part, group) for part in (encoder, head) if part is not None for group in part.layer_groups()]

    def rows(self, encoder: Encoder, head: Head | None) -> list[tuple[str, str, str, str, str]]:
        """The table for reading, under `COLUMNS`."""
        return [
            (
                row["part"],
                row["state"],
                f"{row['rate']:.3g}" if row["rate"] else "",
                str(row["wakes"] or ""),
                f"{row['parameters']:,}",
            )
            for row in self.table(encoder, head)
        ]

    def num_trained(self, model: SpeechModel) -> int:
        """Parameters that move."""
        return _size(self.trained(model).values())

    def _row(self, part: Freezable, group: LayerGroup) -> Row:
        moving = self._moving(part, group) if group in self._free(part) else []
        if not moving:
            whole = _size(parameter for module in group.modules for parameter in module.parameters())
            size = whole - _size(_of_adapters(group))
            return {"part": group.name, "state": "frozen", "rate": None, "wakes": None, "parameters": size}
        is_encoder = isinstance(part, Encoder)
        is_new = is_encoder and self.new_from is not None and group.seam >= self.new_from
        return {
            "part": group.name,
            "state": "adapters" if _of_adapters(group) else "new" if is_new else "trained",
            "rate": self._rate(part, group),
            "wakes": self._awake(part, group) + 1,
            "parameters": _size(moving),
        }

    def _free(self, part: Freezable) -> list[LayerGroup]:
        """Groups of the encoder or the head that are trained in some epoch."""
        if isinstance(part, Encoder):
            return [group for group in part.layer_groups() if not self.is_frozen(group)]
        return [group for group in part.layer_groups() if group.seam > self.head_seam]

    def _moving(self, part: Freezable, group: LayerGroup) -> list[nn.Parameter]:
        """What is trained of a group that is."""
        # Learned pooling is new and has nothing for adapters to stand beside.
        return _of_adapters(group) if self._has_adapters(part) and group.name != POOLING else group.parameters()

    def _has_adapters(self, part: Freezable) -> bool:
        return self.adapters is not None and bool(part.attention_matrices)

    def _rate(self, part: Freezable, group: LayerGroup) -> float:
        if not isinstance(part, Encoder):
            return self.head_lr
        return self.encoder_lr * self.layer_decay ** (self.depth - group.seam)

    def _awake(self, part: Freezable, group: LayerGroup) -> int:
        """The epoch, from 0, from which a group that moves is trained."""
        return (self.wakes[group.seam] or 0) if isinstance(part, Encoder) else 0


def _below(places: Iterable[int], depth: int) -> int | None:
    """The cut below the lowest of these places; the last where there are none, None below the front end."""
    lowest = min(places, default=depth + 1)
    return lowest - 1 if lowest else None


def _adapters(config: PlanConfig) -> Adapters | None:
    if not config.lora_rank:
        return None
    return Adapters(config.lora_rank, config.lora_alpha or 2 * config.lora_rank, bool(config.lora_feed_forward))


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
    return -1 if config.train_embedding or config.from_scratch else 0


def _of_adapters(group: LayerGroup) -> list[nn.Parameter]:
    return [parameter for module in group.modules for parameter in adapters.parameters(module)]


def _size(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)
