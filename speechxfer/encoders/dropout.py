"""Dropout whose random bits are cheap on a CPU, where PyTorch's own take a good part of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

#: Random bits that decide about one value, so that a probability is exact to 1 / 65,536.
_VALUES = 2**16
#: Values that one call of the generator decides about.
_AT_ONCE = 4
_LOWEST = torch.iinfo(torch.int64).min
_IS_ENTERED: ContextVar[bool] = ContextVar("is_entered", default=False)


class CheapDropout(TorchFunctionMode):
    """While it is entered, `torch.nn.functional.dropout` draws 16 bits for a value on the CPU.

    They come from PyTorch's generator; PyTorch draws a float64 for each. Dropout on other devices, and within
    attention, is as it was. A backward pass is not affected, so what it computes again needs `with_same_dropout`.
    """

    def __enter__(self) -> Self:
        self._token: Token[bool] = _IS_ENTERED.set(True)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)  # type: ignore[no-untyped-call]
        _IS_ENTERED.reset(self._token)

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        if func is functional.dropout:
            return _dropout(*args, **kwargs or {})
        return func(*args, **kwargs or {})


def with_same_dropout(layer: Callable[..., Any]) -> Callable[..., Any]:
    """The layer as it is; where `CheapDropout` is entered now, also when the layer is called later."""
    if not _IS_ENTERED.get():
        return layer

    def called(*inputs: Any) -> Any:
        with CheapDropout():
            return layer(*inputs)

    return called


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:  # noqa: A002
    """`torch.nn.functional.dropout`, which has these names."""
    limit = round(p * _VALUES)
    if not training or not 0 < limit < _VALUES or input.device.type != "cpu" or not input.is_floating_point():
        return functional.dropout(input, p, training, inplace)
    bits = torch.empty(-(-input.numel() // _AT_ONCE), dtype=torch.int64).random_(_LOWEST, None).view(torch.int16)
    kept = bits[: input.numel()].view(input.shape) >= limit - _VALUES // 2
    scale = kept.to(input.dtype).mul_(1 / (1 - limit / _VALUES))
    return input.mul_(scale) if inplace else input * scale
