"""What a run was computed with, so that it can be repeated and its figures be believed."""

from __future__ import annotations

import importlib.metadata
import os
import platform

_PACKAGES = ("speechxfer", "torch", "transformers", "tokenizers", "numpy", "jiwer")


def environment(device: str) -> dict[str, str]:
    """Versions and machine by name.

    Args:
        device: as torch names it, such as "cpu" or "cuda:0"; its model is added.
    """
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
        "device": _device(device),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _device(device: str) -> str:
    if not device.startswith("cuda"):
        return f"{device} ({os.cpu_count()} cores)"
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"
