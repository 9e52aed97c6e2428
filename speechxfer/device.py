"""Where models are computed, and in which precision."""

from __future__ import annotations

import re

import torch

from speechxfer.errors import ConfigError

#: What a device may be called.
_DEVICE = re.compile(r"cpu|(cuda|mps|xpu)(:(0|[1-9]\d{0,2}))?")


def choose_device(name: str) -> torch.device:
    """The device of this name, on which something has been computed; `auto` is the GPU if there is one.

    Raises:
        ConfigError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
    return device if ":" in name else torch.device(name)  # without a number where none was given


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Of a computation under autocast, float32 standing for none; `auto` is bfloat16 on a GPU that has it."""
    if name == "auto":
        name = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    return torch.bfloat16 if name == "bfloat16" else torch.float32
