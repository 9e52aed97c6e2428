"""The contract every encoder keeps: a stack of layers that can be split at any of them.

What is particular to a family stays in its module; code outside reads the attributes below, whichever family it is.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from speechxfer.audio import SAMPLE_RATE
from speechxfer.data.augment import Distortion
from speechxfer.encoders.dropout import with_same_dropout
from speechxfer.encoders.pooling import FramePooling
from speechxfer.errors import ConfigError

# On a CPU oneDNN compiles kernels for every new length and keeps 1,024 of them, at about 10 MB each, so that memory
# grows with every utterance. Fewer cost no time. Read by the library when it is first used.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")

#: What the part between two layers is called that lets several frames be one.
POOLING = "pooling"


@dataclass(frozen=True)
class LayerGroup:
    """A named part of an encoder or a head that is frozen or trained as one.

    `seam` is the lowest layer index above the group: an encoder that runs from there on never touches the group. In
    a head it counts layers from 1, with 0 for what stands below them.
    """

    name: str
    seam: int
    modules: tuple[nn.Module, ...]

    def parameters(self) -> list[nn.Parameter]:
        """The group's parameters, those that its family never trains left out."""
        return [parameter for module in self.modules for parameter in module.parameters()]


@dataclass(frozen=True)
class Architecture:
    """A class of `transformers` that is an encoder of a family with a head.

    Attributes:
        name: of the class.
        encoder: what the names of the encoder's weights begin with in it.
        head_names: beginnings of the names of the head's weights, as in most classes -> as in this one.
        convolutional_head: whether the matrices of its head are convolutions with a kernel of one frame.
        outer_type: `model_type` of its configuration, where that holds the encoder's as `encoder_config`; empty where
            the two are one.
    """

    name: str
    encoder: str
    head_names: Mapping[str, str] = field(default_factory=dict)
    convolutional_head: bool = False
    outer_type: str = ""


class Freezable(nn.Module):
    """A module of which parts can be fixed."""

    _frozen: tuple[nn.Module, ...] = ()
    #: Names of the matrices in layers that low-rank adapters may stand beside: of attention, and of what follows it.
    attention_matrices: tuple[str, ...] = ()
    feed_forward_matrices: tuple[str, ...] = ()

    def layer_groups(self) -> list[LayerGroup]:
        """All parts from the bottom up; every trainable parameter belongs to exactly one."""
        raise NotImplementedError

    def freeze(self, groups: Iterable[LayerGroup]) -> None:
        """Fix these parts and free all others: no gradient, and eval mode even after `train()`."""
        for group in self.layer_groups():
            for parameter in group.parameters():
                parameter.requires_grad_(True)
        self._frozen = tuple(module for group in groups for module in group.modules)
        for module in self._frozen:
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As everywhere, but frozen parts stay in eval mode."""
        super().train(mode and self not in self._frozen)
        for module in self._frozen:
            if module is not self:  # a head of one part is that part itself
                module.eval()
        return self


class Encoder(Freezable, ABC):
    """Waveforms to hidden states, in steps that can be run apart.

    `frontend` turns waveforms into the hidden states at layer index 0; `run(hidden_states, num_frames, start, stop)`
    takes those at layer index `start` to layer index `stop`, so that running 0 to k and then k to `depth` is
    running 0 to `depth`. Hidden states are [batch, frames, width]; lengths are absolute integer counts
    [batch], on any device. What stands in padded positions is undefined and never influences a valid one.

    With `set_pooling` there are fewer frames above one layer index. Lengths that are passed in always count frames at
    layer index 0; `output_frames` says how many leave the top.

    With `set_stacked` hidden states carry those of all layers below along, for a head that weighs them: at layer index
    k > 0 they are k + 1 states of `width` side by side, what the first layer takes being the first. So a stack can be
    split and kept as any other, at the price of its size.

    A family implements `frontend`, `_layers`, `_run_layers` and, where it has something below the first layer that is
    not part of the front end or something above the last, `_enter` and `_leave`.
    """

    sample_rate: int = SAMPLE_RATE
    family: str
    #: As `transformers` has it.
    config: Any
    #: Size of a hidden state; below the first layer it may be another (`width_at`).
    width: int
    #: Number of layers, and so the last layer index.
    depth: int
    #: Hidden states a second at layer index 0; heads need `output_frame_rate`.
    frame_rate: float
    #: Longest waveform it can take, in seconds; None where there is no limit.
    max_duration_s: float | None
    #: Whether hidden states have one size for every utterance, all of it attended to.
    fixed_length: bool = False
    #: What the number of layers is called in `config`.
    depth_setting: str = "num_hidden_layers"
    #: Names of small modules inside the layers that adapt them to one language, and can be trained alone.
    adapter_modules: tuple[str, ...] = ()
    #: Bands of the log-mel spectrogram that is its input; 0 where that is the waveform itself.
    mel_bands: int = 0
    #: Share of the epochs in which a new head usually learns alone before all layers do (docs/transfer.md).
    head_only_ratio: float = 0.0
    #: Compute what is inside a layer again in the backward pass instead of keeping it.
    gradient_checkpointing: bool = False
    pooling: FramePooling | None
    #: Whether hidden states carry those of the layers below along.
    stacked: bool = False

    def __init__(self) -> None:
        super().__init__()
        self.pooling = None

    @classmethod
    @abstractmethod
    def build(cls, config: Mapping[str, Any], options: Mapping[str, Any]) -> Self:
        """An encoder with random weights, from its configuration as `transformers` writes it."""

    @abstractmethod
    def load_source(self, state: Mapping[str, Tensor]) -> None:
        """Take the encoder's weights out of a whole model's state dict, as `transformers` names them.

        Raises:
            RuntimeError: weights are missing or do not fit.
        """

    @property
    def architectures(self) -> Mapping[str, Architecture]:
        """By kind of head: the class of `transformers` that has both."""
        return {}

    def feature_extractor(self) -> dict[str, Any]:
        """What `transformers` has to do to waveforms first, as its `preprocessor_config.json` says it."""
        return {}

    @abstractmethod
    def num_frames(self, num_samples: Any) -> Any:
        """Frames for waveforms of `num_samples` samples; exact. Takes an int or an integer tensor."""

    @abstractmethod
    def frontend(
        self, waveforms: Tensor, num_samples: Tensor, distortion: Distortion | None = None
    ) -> tuple[Tensor, Tensor]:
        """Waveforms [batch, samples], lengths [batch] -> hidden states at layer index 0, number of frames [batch].

        A distortion is one of spectrograms, so for encoders with `mel_bands` only.
        """

    def num_steps(self, num_samples: Any) -> Any:
        """Steps of the spectrogram of `num_samples` samples, where there is one."""
        raise NotImplementedError(f"{self.family} has no spectrogram")

    @property
    @abstractmethod
    def _layers(self) -> nn.ModuleList:
        """The layers themselves."""

    @abstractmethod
    def _run_layers(self, hidden_states: Tensor, valid: Tensor | None, start: int, stop: int) -> Tensor:
        """Layers `start` to `stop`, at least one, each called through `_call`.

        `valid` [batch, frames] is true where a position belongs to the utterance, and in at least one position of
        each row; None where all do.
        """

    @abstractmethod
    def _layer_groups(self) -> list[LayerGroup]:
        """The family's own parts, from the bottom up."""

    @abstractmethod
    def _describe(self) -> dict[str, Any]:
        """The family's own share of `describe`: "config" and "options"."""

    @abstractmethod
    def set_dropout(self, probability: float) -> None:
        """Share of activations set to zero in layers that are trained."""

    def _enter(self, hidden_states: Tensor, valid: Tensor | None) -> Tensor:
        """Hidden states at layer index 0 -> what the first layer takes."""
        return hidden_states

    def _leave(self, hidden_states: Tensor) -> Tensor:
        """What the last layer gives -> hidden states at layer index `depth`."""
        return hidden_states

    def _leave_stacked(self, hidden_states: Tensor) -> Tensor:
        """What the last layer gives -> its part of a stack, which `transformers` takes elsewhere in some families."""
        return self._leave(hidden_states)

    def run(self, hidden_states: Tensor, num_frames: Tensor, start: int, stop: int) -> Tensor:
        """Hidden states at layer index `start` -> at `stop`; `num_frames` [batch] counts frames at layer index 0."""
        if start >= stop:
            return hidden_states
        valid = self._valid(hidden_states, self.frames_at(num_frames, start))
        if start == 0:
            hidden_states = self._enter(hidden_states, valid)
        if self.stacked:
            return self._run_stacked(hidden_states, valid, start, stop)
        if self.pooling is not None and start <= self.pooling.at < stop:
            if start < self.pooling.at:
                hidden_states = self._run_layers(hidden_states, valid, start, self.pooling.at)
            hidden_states, start = self.pooling(hidden_states, valid), self.pooling.at
            valid = self._valid(hidden_states, self.frames_at(num_frames, stop))
        hidden_states = self._run_layers(hidden_states, valid, start, stop)
        return self._leave(hidden_states) if stop == self.depth else hidden_states

    def _run_stacked(self, hidden_states: Tensor, valid: Tensor | None, start: int, stop: int) -> Tensor:
        """As `run`, from the states of layer indices 0 to `start` side by side to those of 0 to `stop`."""
        states = list(torch.split(hidden_states, self.width, dim=-1))
        for layer in range(start, stop):
            states.append(self._run_layers(states[-1], valid, layer, layer + 1))
        if stop == self.depth:
            states[-1] = self._leave_stacked(states[-1])
        return torch.cat(states, dim=-1)

    def _valid(self, hidden_states: Tensor, num_frames: Tensor) -> Tensor | None:
        """Which positions are valid [batch, frames]; None where all are, as far as that is known without waiting."""
        size = hidden_states.shape[1]
        is_known = num_frames.device.type == "cpu" and not torch.compiler.is_exporting()
        if self.fixed_length or (is_known and bool((num_frames >= size).all())):
            return None
        # A row without a single frame would attend to nothing and come out as NaN.
        return valid_positions(num_frames.to(hidden_states.device, non_blocking=True).clamp(min=1), size)

    def _call(self, layer: Callable[..., Any], *inputs: Any) -> Any:
        """A layer's output; with `gradient_checkpointing`, only its inputs are kept for the backward pass."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(with_same_dropout(layer), *inputs, use_reentrant=False)
        return layer(*inputs)

    def layer_groups(self) -> list[LayerGroup]:
        """All parts from the bottom up; every trainable parameter belongs to exactly one."""
        groups = self._layer_groups()
        if self.pooling is None:
            return groups
        # Frames are pooled on the way up from `at`, so a seam there leaves the pooling to be trained.
        seam = self.pooling.at + 1
        below = sum(group.seam < seam for group in groups)
        return [*groups[:below], LayerGroup(POOLING, seam, (self.pooling,)), *groups[below:]]

    def describe(self) -> dict[str, Any]:
        """What `restore_encoder` needs to build the same encoder again: plain JSON values."""
        pooling = self.pooling.describe() if self.pooling is not None else None
        return {"family": self.family, **self._describe(), "pooling": pooling, "stacked": self.stacked}

    def set_pooling(self, at: int, stride: int, kind: str = "mean") -> None:
        """Above layer index `at`, let every `stride` frames be one; a stride of 1 takes the pooling away again.

        Hidden states at `at` itself are not pooled yet. To be called before `freeze`.

        Raises:
            ConfigError: there is no layer above it, or no such kind of pooling.
        """
        if not 0 <= at < self.depth:
            raise ConfigError(f"pooling at layer index {at}: wanted 0 to {self.depth - 1}, with a layer above it")
        self._check_not_both(pooled=stride > 1, stacked=self.stacked)
        device = next(self.parameters()).device
        self.pooling = None if stride == 1 else FramePooling(at, stride, kind, self.width).to(device)

    def set_stacked(self, stacked: bool) -> None:
        """Whether hidden states carry those of the layers below along.

        Raises:
            ConfigError: frames are pooled, so that layers differ in length.
        """
        self._check_not_both(pooled=self.pooling is not None, stacked=stacked)
        self.stacked = stacked

    def _check_not_both(self, *, pooled: bool, stacked: bool) -> None:
        if pooled and stacked:
            raise ConfigError("pooled frames (pooling.stride) and a sum of all layers (plan.weighted_layer_sum) exclude each other, for pooled layers have fewer frames; leave one of them out")  # fmt: skip  # noqa: E501

    def drop_top(self, count: int) -> None:
        """Leave the upper `count` layers out, for good; a norm above the last layer stays.

        Raises:
            ConfigError: no layer would be left, or none above the pooling.
        """
        left = self.depth - count
        if left < 1:
            raise ConfigError(f"plan.drop_top is {count}, but the encoder has {self.depth} layers; wanted at most {self.depth - 1}, so that one is left")  # fmt: skip  # noqa: E501
        if self.pooling is not None and self.pooling.at >= left:
            raise ConfigError(f"plan.drop_top is {count}, but the model pools its frames at layer index {self.pooling.at} and needs a layer above it; wanted at most {self.depth - self.pooling.at - 1}")  # fmt: skip  # noqa: E501
        del self._layers[left:]
        self.depth = left
        setattr(self.config, self.depth_setting, left)

    def reinit_top(self, count: int) -> None:
        """Give the upper `count` layers random weights, as the family begins with them."""
        fresh = type(self).build(**self._describe())
        for own, new in zip(self._layers[self.depth - count :], fresh._layers[self.depth - count :], strict=True):
            own.load_state_dict(new.state_dict())

    def adapter_parameters(self, group: LayerGroup) -> list[nn.Parameter]:
        """The parameters of a group that belong to `adapter_modules`."""
        inside = [named for module in group.modules for named in module.named_modules()]
        adapters = [module for name, module in inside if name.rpartition(".")[2] in self.adapter_modules]
        return [parameter for module in adapters for parameter in module.parameters()]

    def reinit_adapters(self) -> None:
        """Give the `adapter_modules` random weights, as the family begins with them."""
        fresh = type(self).build(**self._describe())
        for own, new in zip(self._layer_groups(), fresh._layer_groups(), strict=True):
            for mine, random in zip(self.adapter_parameters(own), fresh.adapter_parameters(new), strict=True):
                mine.data.copy_(random.data)

    def frames_at(self, num_frames: Any, index: int) -> Any:
        """Of `num_frames` frames at layer index 0, how many there are at another; takes an int or an integer tensor."""
        return num_frames if self.pooling is None or index <= self.pooling.at else self.pooling.num_frames(num_frames)

    def frame_step(self, index: int) -> int:
        """How many frames at layer index 0 neighbors are apart in the layer above another, for relative positions."""
        return 1 if self.pooling is None or index < self.pooling.at else self.pooling.stride

    def output_frames(self, num_frames: Any) -> Any:
        """How many of `num_frames` frames at layer index 0 leave the top; takes an int or an integer tensor."""
        return self.frames_at(num_frames, self.depth)

    @property
    def output_frame_rate(self) -> float:
        """Hidden states a second at the top."""
        return self.frame_rate if self.pooling is None else self.frame_rate / self.pooling.stride

    def width_at(self, index: int) -> int:
        """Size of a hidden state at a layer index."""
        return self.width * (index + 1) if self.stacked else self.width

    def maskable_width(self, index: int) -> int:
        """Channels of a hidden state that SpecAugment may mask at a layer index; 0 in the lower half of the layers.

        There, single channels carry what everything above stands on: what a trained model loses when some are hidden
        (`scripts.bench.regularizers`), training has to win back before it gets anywhere.
        """
        return self.width_at(index) if 2 * index >= self.depth else 0

    @property
    def num_states(self) -> int:
        """How many hidden states of `width` leave the top side by side."""
        return self.depth + 1 if self.stacked else 1

    def computed_s(self, duration_s: float) -> float:
        """Seconds of audio that are computed for a waveform on its own."""
        return duration_s

    def collate(self, waveforms: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Waveforms of any lengths -> zero-padded [batch, samples] and their lengths [batch]."""
        # Pinned, a GPU copies it by itself. It is not filled by torch, which would use all threads for each row.
        pinned: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        batch = torch.empty(len(waveforms), max(map(len, waveforms)), dtype=torch.float32, pin_memory=pinned)
        for row, waveform in zip(batch.numpy(), waveforms, strict=True):
            row[: len(waveform)], row[len(waveform) :] = waveform, 0.0
        return batch, torch.tensor(list(map(len, waveforms)))

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """The whole stack: waveforms -> hidden states at layer index `depth`, number of frames there."""
        hidden_states, num_frames = self.frontend(waveforms, num_samples)
        return self.run(hidden_states, num_frames, 0, self.depth), self.output_frames(num_frames)


def valid_positions(lengths: Tensor, size: int) -> Tensor:
    """Boolean mask [batch, size], true where a position lies within its row's length."""
    return torch.arange(size, device=lengths.device) < lengths[:, None]
