"""Where models are computed, in which precision, and by how many threads."""

from __future__ import annotations

import re

import torch
from torch import nn

from speechxfer.config.values import Kind, OneOf, Range
from speechxfer.errors import ConfigError

_DTYPE = Kind(str, OneOf(("auto", "float32", "bfloat16", "float16")))
_THREADS = Kind(int, Range(1, 1024), optional=True)
#: Layers whose weights are matrices; all others stay in float32.
_MATRICES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding)
#: What a device may be called.
_DEVICE = re.compile(r"cpu|(cuda|mps|xpu)(:(0|[1-9]\d{0,2}))?")


def choose_device(name: str) -> torch.device:
    """The device of this name, on which something has been computed; `auto` is the GPU if there is one.

    Raises:
        ConfigError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not _DEVICE.fullmatch(name):
        raise ConfigError(f"device {name!r} is not known; wanted auto, cpu, cuda or cuda:N")
    try:
        device = torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for a device
        reason = str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")
        raise ConfigError(
            f"device {name!r}: torch cannot use it here ({reason:.120}); `speechxfer doctor` says more, or use "
            "--device cpu"
        ) from error
    if device.type == "cuda":
        _set_up_cuda()
    return device if ":" in name else torch.device(name)  # without a number where none was given


def _set_up_cuda() -> None:
    """Choose kernels, for the whole process, that suit batches of ever new lengths."""
    # cuDNN's attention is planned for each new length, which takes longer than computing it; torch has others.
    torch.backends.cuda.enable_cudnn_sdp(False)
    # Convolutions in float32 keep all its digits, as matrix products do: what stands beside an utterance would show.
    torch.backends.cudnn.allow_tf32 = False


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Of a computation under autocast, float32 standing for none; `auto` is bfloat16 on a GPU that has it."""
    if name == "auto":
        name = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type of weights in inference; `auto` is bfloat16 on a GPU that has it, and float32 elsewhere.

    Raises:
        ConfigError: an unknown type, or one that the device does not compute in.
    """
    _DTYPE.check("dtype", name)
    if name == "float16" and device.type == "cpu":
        raise ConfigError("dtype is 'float16', which CPUs do not compute in; wanted float32 or bfloat16")
    if name == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ConfigError(f"dtype is 'bfloat16', which {torch.cuda.get_device_name(device)} does not compute in; wanted float32 or float16")  # fmt: skip  # noqa: E501
    return torch.float16 if name == "float16" else choose_precision(name, device)


def cast_matrices(model: nn.Module, dtype: torch.dtype) -> None:
    """Convert the weights of linear layers, convolutions and embeddings, in place; norms stay in float32.

    To be computed under `torch.autocast` with the same type.
    """
    for module in model.modules():
        if isinstance(module, _MATRICES):
            module.to(dtype)


def set_threads(count: int | None) -> None:
    """Set how many CPU threads torch uses for one operation in this process; None leaves it as it is.

    Threads of Python that have computed with torch before keep their number.

    Raises:
        ConfigError: less than one.
    """
    _THREADS.check("threads", count)
    if count is not None:
        torch.set_num_threads(count)
