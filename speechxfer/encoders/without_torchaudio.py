"""`transformers` without a torchaudio that cannot be imported."""

from __future__ import annotations

import importlib
import importlib.util
import sys


def ignore_broken_torchaudio() -> None:
    """Have `transformers` take torchaudio for missing where importing it fails; call it before models are imported.

    `transformers` imports torchaudio wherever it is installed, though these models need nothing of it. It fails
    beside a torch of another release or of another CUDA version, and every model with it.
    """
    if "torchaudio" in sys.modules or importlib.util.find_spec("torchaudio") is None:
        return
    try:
        importlib.import_module("torchaudio")
    except Exception:  # OSError, ImportError or RuntimeError, as the mismatch has it
        sys.modules["torchaudio"] = None  # type: ignore[assignment]  # means: not to be found
        from transformers.utils import is_torchaudio_available

        is_torchaudio_available.cache_clear()
        is_torchaudio_available()  # remembered from here on
        del sys.modules["torchaudio"]
