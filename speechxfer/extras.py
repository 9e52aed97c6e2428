"""Packages that a plain installation lacks, and which extra of this package brings them.

`pip install speechxfer` brings what running an exported model takes; everything else is imported where it is used.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator

from speechxfer.errors import MissingPackageError

#: Extra -> the modules that it brings, of those that are imported here.
EXTRAS = {
    "beam": ("numba",),
    "evaluate": ("jiwer", "scipy", "whisper_normalizer"),
    "media": ("av",),
    "microphone": ("sounddevice",),
    "parquet": ("pyarrow",),
    "ray": ("ray",),
    "remote": ("fsspec",),
    "serve": ("fastapi", "prometheus_client", "python_multipart", "starlette", "uvicorn", "websockets"),
    "train": (
        "torch",
        "transformers",
        "huggingface_hub",
        "matplotlib",
        "safetensors",
        "silero_vad",
        "tensorboardX",
        "tokenizers",
        "tomli_w",
    ),
}
_HOMES = {module: extra for extra, modules in EXTRAS.items() for module in modules}


def is_installed(module: str) -> bool:
    """Whether a package can be imported, found without importing it."""
    return importlib.util.find_spec(module) is not None


def remedy(module: str) -> str:
    """That a package is not installed, and the command that installs it."""
    return f"{module} is not installed; python -m pip install 'speechxfer[{_HOMES[module]}]'"


def need(module: str, what: str) -> None:
    """Check that a package is there before it is imported.

    Args:
        module: the package.
        what: what needs it, the subject of a sentence.

    Raises:
        MissingPackageError: it is not installed.
    """
    if not is_installed(module):
        raise MissingPackageError(f"{what} needs {module}, but {remedy(module)}", name=module)


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Report a package that is missed where it is imported, in this block or the function that this decorates.

    Raises:
        MissingPackageError: it is not installed, and an extra brings it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _HOMES or is_installed(module):
            raise
        # Of all that training takes, torch is what people know.
        shown = "torch" if module in EXTRAS["train"] and not is_installed("torch") else module
        raise MissingPackageError(remedy(shown), name=module) from error
