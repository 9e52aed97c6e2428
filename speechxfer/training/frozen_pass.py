"""Hidden states of many batches at a seam, computed one batch after the other while the next is read."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from speechxfer.ahead import Ahead
from speechxfer.encoders.base import Encoder, valid_positions
from speechxfer.errors import AudioError
from speechxfer.training.batch_budget import is_out_of_memory
from speechxfer.training.frozen_cache import States
from speechxfer.training.inputs import Computable, Key, Loaded

#: The largest number of half precision; what exceeds it is kept in bfloat16, which has float32's range.
_LARGEST_HALF = 65504.0
#: Layers whose weights autocast converts.
_CONVERTED = (nn.Linear, nn.Conv1d, nn.Conv2d)
#: Batches that are read before they are needed.
_AHEAD = 2


class _Read(NamedTuple):
    """A batch of copies, those of them that can be read, and their inputs; None where there are none."""

    wanted: Sequence[Key]
    keys: Sequence[Key]
    loaded: Loaded | None


class Computed(NamedTuple):
    """A batch of copies, and the states of those of them that can be read."""

    wanted: Sequence[Key]
    states: list[tuple[Key, States]]


@dataclass(frozen=True)
class _Stored:
    """Hidden states of one batch on their way to the CPU."""

    keys: Sequence[Key]
    #: [batch, frames, width]; in 16 bits, as integers.
    values: Tensor
    #: Which rows fit half precision [batch], where that matters.
    fits: Tensor | None
    #: Frames of each that are kept, and that are its own.
    sizes: Sequence[int]
    counts: Sequence[int]
    copied: torch.cuda.Event | None

    def rows(self) -> Iterator[tuple[Key, States]]:
        """Each copy's states, once they have arrived."""
        values = self.values
        if self.copied is not None:
            self.copied.synchronize()
            values = values.clone()  # the memory into which a GPU copies is scarce, and used again
        fits = [None] * len(self.keys) if self.fits is None else self.fits.tolist()
        for key, row, size, fit, count in zip(self.keys, values, self.sizes, fits, self.counts, strict=True):
            kept = row[:size]
            yield key, States(kept if fit is None else kept.view(torch.float16 if fit else torch.bfloat16), count)


class FrozenPass:
    """Computes states at a seam from inputs that stand below it or at it.

    On a GPU, one thread reads ahead, and the states of a batch are fetched while the next one is computed.

    Args:
        inputs: what is read.
        encoder: whose layers are computed.
        seam: layer index of the states.
        precision: of the computation, under autocast.
        cache_dtype: of the states, "float16" or "float32".
    """

    def __init__(
        self, inputs: Computable, encoder: Encoder, seam: int, *, precision: torch.dtype, cache_dtype: str
    ) -> None:
        self._encoder, self._seam = _lowered(encoder, precision), seam
        self._inputs = inputs.computed_by(self._encoder)
        self._precision, self._halved = precision, cache_dtype != "float32"
        self._device = next(encoder.parameters()).device

    def __call__(self, batches: Iterable[Sequence[Key]], *, leave_out: bool = False) -> Iterator[Computed]:
        """Each batch of copies with the states of those that can be read, in order.

        Args:
            batches: copies that are computed together.
            leave_out: a copy that cannot be read is noted and left out; without it, that is an error.

        Raises:
            AudioError: a copy cannot be read.
        """
        on_gpu = self._device.type == "cuda"
        made = map(functools.partial(self._read, leave_out=leave_out), batches)
        source = Ahead(made, _AHEAD) if on_gpu else None
        behind: deque[tuple[Sequence[Key], list[_Stored]]] = deque()
        try:
            for wanted, keys, loaded in source or made:
                behind.append((wanted, [] if loaded is None else self._computed(keys, loaded)))
                if len(behind) > on_gpu:
                    yield _fetched(*behind.popleft())
            while behind:
                yield _fetched(*behind.popleft())
        finally:
            if source is not None:
                source.close()

    def _read(self, keys: Sequence[Key], *, leave_out: bool) -> _Read:
        """A batch, or what can be read of it."""
        try:
            return _Read(keys, keys, self._load(keys))
        except AudioError:
            some = [key for key in keys if not leave_out or self._inputs.copies.is_readable(key[0])]
            if len(some) == len(keys):
                raise
            return _Read(keys, some, self._load(some) if some else None)

    def _load(self, keys: Sequence[Key]) -> Loaded:
        """Inputs of copies, on the CPU."""
        loaded = self._inputs.load_copies(keys)
        return loaded.pinned() if self._device.type == "cuda" else loaded

    def _computed(self, keys: Sequence[Key], loaded: Loaded) -> list[_Stored]:
        """States of some copies computed together, or in halves where memory runs out."""
        try:
            with self._frozen():
                return [self._stored(keys, loaded, self._at_seam(loaded.to(self._device)))]
        except (RuntimeError, MemoryError) as error:
            if len(keys) == 1 or not is_out_of_memory(error):
                raise
        # Here, where the failed try holds no memory any more.
        middle = len(keys) // 2
        return [part for half in (keys[:middle], keys[middle:]) for part in self._computed(half, self._load(half))]

    def _at_seam(self, loaded: Loaded) -> Tensor:
        states = self._inputs.at_seam(loaded)
        return self._encoder.run(states, loaded.num_frames, self._inputs.seam, self._seam).float()

    @contextlib.contextmanager
    def _frozen(self) -> Iterator[None]:
        """Nothing is trained: no gradient, no dropout."""
        training = self._encoder.training
        self._encoder.eval()
        low = self._precision != torch.float32
        try:
            with torch.no_grad(), torch.autocast(self._device.type, self._precision, enabled=low):
                yield
        finally:
            self._encoder.train(training)

    def _stored(self, keys: Sequence[Key], loaded: Loaded, states: Tensor) -> _Stored:
        """The states on their way to the CPU; converted where they are, for half of the bytes is soon copied."""
        counts = loaded.num_frames.tolist()
        # What an encoder computes beyond the utterance (silence up to 30 s) belongs to its input; and a click too
        # short for a frame still has a state.
        sizes = [states.shape[1] if self._encoder.fixed_length else max(count, 1) for count in counts]
        fits = None
        if self._halved:
            kept = valid_positions(torch.tensor(sizes).to(states.device, non_blocking=True), states.shape[1])
            fits = (states.abs().amax(2).masked_fill(~kept, 0.0) <= _LARGEST_HALF).all(1)
            halves, others = states.half().view(torch.int16), states.bfloat16().view(torch.int16)
            states = torch.where(fits[:, None, None], halves, others)
            fits = fits.to("cpu", non_blocking=True)
        values = states.to("cpu", non_blocking=True)
        copied = None
        if self._device.type == "cuda":
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            copied.record()
        return _Stored(keys, values, fits, sizes, counts, copied)


def _lowered(encoder: Encoder, precision: torch.dtype) -> Encoder:
    """The encoder with those weights converted that autocast would convert for every batch; the rest is shared."""
    if precision == torch.float32:
        return encoder
    weights = {id(tensor): tensor for tensor in (*encoder.parameters(), *encoder.buffers())}
    for module in encoder.modules():
        if isinstance(module, _CONVERTED):
            for weight in module.parameters(recurse=False):
                weights[id(weight)] = nn.Parameter(weight.detach().to(precision), requires_grad=False)
    return copy.deepcopy(encoder, weights)  # what is in its memory is not copied


def _fetched(wanted: Sequence[Key], parts: Sequence[_Stored]) -> Computed:
    return Computed(wanted, [row for part in parts for row in part.rows()])
