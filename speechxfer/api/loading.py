"""`load`: a model by its name, trained or exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speechxfer.extras import explained, need

if TYPE_CHECKING:
    from speechxfer.predictor import Predictor


@explained()
def load(
    name: str, *, device: str = "auto", dtype: str = "float32", threads: int | None = None,
    revision: str | None = None, language: str | None = None,
) -> Predictor:  # fmt: skip
    """As `speechxfer.load`.

    Raises:
        CheckpointError: not found, damaged, without the language, or without a head.
        ConfigError: a value that the model cannot be opened with, or a trained model without torch.
    """
    from speechxfer.runtime.folder import is_exported

    if is_exported(name):
        from speechxfer.runtime.model import ExportedModel

        return ExportedModel.load(
            name, device=device, dtype=dtype, threads=threads, revision=revision, language=language
        )
    from speechxfer.encoders.checkpoints import find

    find(name, revision=revision, language=language)  # before torch, so that a misspelt name is reported at once
    need("torch", f"{name} is a trained model, not an exported one, and")
    from speechxfer.model import SpeechModel

    return SpeechModel.load(name, device=device, dtype=dtype, threads=threads, revision=revision, language=language)
