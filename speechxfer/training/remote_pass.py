"""Hidden states of many batches at a seam, computed by the workers of an engine."""

from __future__ import annotations

import copy
import functools
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, NoReturn, cast

import torch
from torch import nn
from torch.nn.utils import parametrize

from speechxfer.device import choose_device
from speechxfer.encoders.base import Encoder
from speechxfer.engine import Engine
from speechxfer.errors import ConfigError, SpeechxferError
from speechxfer.progress import Progress, Warnings
from speechxfer.training.distributed import World
from speechxfer.training.frozen_cache import States
from speechxfer.training.frozen_pass import Computed, FrozenPass
from speechxfer.training.inputs import Key, LiveInputs


class Found(NamedTuple):
    """What a worker made of a batch: its states, the utterances that cannot be read, warnings and their kinds."""

    computed: Computed
    unreadable: dict[int, str]
    warnings: list[tuple[str, str]]


@dataclass(frozen=True)
class FrozenTask:
    """What is sent to workers: the encoder, and which copies of which utterances there are.

    Attributes:
        inputs: whose copies are computed; they have the same encoder.
        encoder: on the CPU, with plain weights.
        seam: layer index of the states.
        precision: of the computation, under autocast.
        cache_dtype: of the states, "float16" or "float32".
        leave_out: a copy that cannot be read is noted and left out; without it, that is an error.
    """

    inputs: LiveInputs
    encoder: Encoder
    seam: int
    precision: torch.dtype
    cache_dtype: str
    leave_out: bool

    def versions(self) -> dict[str, str]:
        """Those of the packages that decide what is computed."""
        versions = {name: importlib.metadata.version(name) for name in ("speechxfer", "torch", "transformers")}
        return {name: version.partition("+")[0] for name, version in versions.items()}

    def open(self, _readers: int) -> Callable[[Sequence[Sequence[Key]]], Found]:
        """Bring the encoder to the worker's device; the result computes one batch."""
        warnings = Warnings()
        self.inputs.copies.report_to(warnings)
        frozen = FrozenPass(
            self.inputs, self.encoder.to(choose_device("auto")), self.seam, precision=self.precision,
            cache_dtype=self.cache_dtype,
        )  # fmt: skip
        return functools.partial(self._found, frozen, warnings)

    def lost(self, batch: Sequence[Key], reason: str) -> NoReturn:
        """A batch that workers do not survive ends the run; only the data decide what is left out of training."""
        utterance = self.inputs.copies.manifest[batch[0][0]]
        raise SpeechxferError(f"{utterance.origin}: {reason} (it is computed with {len(batch) - 1} others); pass --set training.device_batch_seconds=10, or fewer --actors")  # fmt: skip  # noqa: E501

    def _found(self, frozen: FrozenPass, warnings: Warnings, batches: Sequence[Sequence[Key]]) -> Found:
        (computed,) = frozen(batches, leave_out=self.leave_out)
        unreadable = self.inputs.copies.unreadable
        noted = {index: unreadable[index] for index, _ in computed.wanted if index in unreadable}
        # Copied, so that padding and the rows of others are not sent.
        states = [(key, States(one.hidden_states.clone(), one.num_frames)) for key, one in computed.states]
        return Found(Computed(computed.wanted, states), noted, warnings.take())


class RemotePass:
    """Computes states at a seam by the workers of an engine; else like `FrozenPass`.

    States are those of one process up to rounding: processors round as they are, and as many threads as they use.

    Args:
        engine: whose workers compute.
        inputs: what is read.
        encoder: whose layers are computed.
        seam: layer index of the states.
        precision: of the computation, under autocast.
        cache_dtype: of the states, "float16" or "float32".
        progress: receives the warnings of workers.
    """

    def __init__(
        self, engine: Engine, inputs: LiveInputs, encoder: Encoder, seam: int, *, precision: torch.dtype,
        cache_dtype: str, progress: Progress,
    ) -> None:  # fmt: skip
        self._engine, self._copies, self._progress = engine, inputs.copies, progress
        portable = _portable(encoder)
        sent = LiveInputs(portable, inputs.seam, inputs.copies.moved(portable))
        self._task = functools.partial(FrozenTask, sent, portable, seam, precision, cache_dtype)

    def __call__(self, batches: Iterable[Sequence[Key]], *, leave_out: bool = False) -> Iterator[Computed]:
        """As `FrozenPass`, but in any order.

        Raises:
            AudioError: a copy cannot be read.
            ConfigError: the engine cannot be had, or its workers have other versions.
            SpeechxferError: several workers were lost over the same batch.
        """
        for found in self._engine.map(self._task(leave_out), batches):
            self._copies.unreadable |= found.unreadable
            for message, kind in found.warnings:
                self._progress.warn(message, kind)
            yield found.computed


def check_engine(engine: Engine | None, world: World) -> None:
    """Look whether a run can have its engine, if there is one.

    Raises:
        ConfigError: the run has several processes.
    """
    if engine is not None and world.size > 1:
        raise ConfigError("--engine is for a run of one process; leave it out with torchrun, whose processes divide the frozen layers among them")  # fmt: skip  # noqa: E501


def _portable(encoder: Encoder) -> Encoder:
    """A copy on the CPU that can be pickled: parametrized weights, which cannot be, are computed."""
    copied = copy.deepcopy(encoder).cpu().eval()
    for module in filter(parametrize.is_parametrized, list(copied.modules())):
        names = list(cast(nn.ModuleDict, module.parametrizations))
        plain = {name: nn.Parameter(getattr(module, name).detach(), requires_grad=False) for name in names}
        # Here and not by `remove_parametrizations`, which changes the class, and so the module that was copied.
        module.__class__ = parametrize.type_before_parametrizations(module)
        del module.parametrizations
        module._load_state_dict_pre_hooks.clear()  # with which weight norm reads what earlier versions wrote
        for name, weight in plain.items():
            module.register_parameter(name, weight)
    return copied
