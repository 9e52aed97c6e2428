"""What is computed of an utterance alone, such as convolutions, for a few utterances of a batch at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

#: Seconds of audio at once. On a CPU utterances go one by one, each at its own length: two to four times as fast as
#: together, for what the convolutions of a whole batch give fits no cache.
_AT_ONCE_S = {"cpu": 0.0}
_AT_ONCE_ELSEWHERE_S = 100.0
#: A GPU's library plans the computation of each new length, which takes longer than the computation; so there, lengths
#: are rounded up to a multiple of this.
_ROUNDED_S = 0.32


def at_least(inputs: Tensor, size: int) -> Tensor:
    """[..., samples] extended with zeros to `size` samples, where there are fewer.

    Not in a graph, which is given enough of them: there, one more case would make all sizes after it hard to follow.
    """
    return inputs if torch.compiler.is_exporting() else F.pad(inputs, (0, max(size - inputs.shape[-1], 0)))


def few_at_once(
    compute: Callable[[Tensor, Tensor | None], Tensor],
    inputs: Tensor,
    lengths: Tensor,
    *,
    per_second: float,
    least: int = 1,
) -> Tensor:
    """Compute some rows of a batch after the other, without what all of them are padded with.

    Args:
        compute: takes rows of the inputs and their lengths, None where nothing is padded, as far as that is known
            without waiting for a device; returns [rows, frames, width].
        inputs: [batch, steps, ...].
        lengths: steps of each row [batch].
        per_second: steps in a second of audio.
        least: steps that are computed of a shorter row.

    Returns:
        [batch, frames, width], padded to the longest row.
    """
    if torch.compiler.is_exporting():  # a graph has no number of utterances of its own
        return compute(inputs, lengths)
    if inputs.device.type != "cpu":
        inputs = _rounded(inputs, round(_ROUNDED_S * per_second))
    rows = max(1, int(_AT_ONCE_S.get(inputs.device.type, _AT_ONCE_ELSEWHERE_S) * per_second) // inputs.shape[1])
    pairs = zip(torch.split(inputs, rows), torch.split(lengths, rows), strict=True)
    pieces = [compute(*_unpadded(some, own, least)) for some, own in pairs]
    size = max(piece.shape[1] for piece in pieces)
    return torch.cat([F.pad(piece, (0, 0, 0, size - piece.shape[1])) for piece in pieces])


def _rounded(inputs: Tensor, multiple: int) -> Tensor:
    """[batch, steps, ...] extended with zeros to a multiple of steps."""
    missing = -inputs.shape[1] % multiple
    return F.pad(inputs, (*(0, 0) * (inputs.ndim - 2), 0, missing))


def _unpadded(inputs: Tensor, lengths: Tensor, least: int) -> tuple[Tensor, Tensor | None]:
    if lengths.device.type != "cpu":
        return inputs, lengths
    inputs = inputs[:, : max(int(lengths.max()), least)]
    return inputs, lengths if bool((lengths < inputs.shape[1]).any()) else None
