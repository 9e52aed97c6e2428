"""What leaves a run: its page, and its model for another runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechxfer.api.training import folder_of
from speechxfer.config import nested

if TYPE_CHECKING:
    from speechxfer.export.parity import Parity
    from speechxfer.training.finetune import Run


def report(
    run: str | os.PathLike[str] | Run, *, model_card: bool = False, places: Mapping[str, Any] | None = None
) -> Path:
    """Write the page of a run again, from what stands in its folder.

    Args:
        run: a run, or its folder.
        model_card: write the model's README.md again too; what was added by hand is lost.
        places: where the data of the run is now, by setting, if it has been moved.

    Returns:
        The page, one file with everything in it.

    Raises:
        ConfigError: no run of the present layout.
        DataError: a file of the run is damaged.
        StorageError: the page cannot be written.
    """
    from speechxfer.report import write_model_card, write_report

    folder, moved = folder_of(run), nested(places or {})
    page = write_report(folder, moved)
    if model_card:
        write_model_card(folder, moved)
    return page


def export(
    model: str | os.PathLike[str] | Run,
    output: str | os.PathLike[str],
    *,
    to: str = "ctranslate2",
    quantization: str = "float32",
) -> Parity:
    """Write an adapted model for another runtime, and compare the two on a few sounds.

    Args:
        model: an adapted model's folder, or the run that made it.
        output: the folder to write; it is replaced as a whole, and only after the comparison.
        to: "ctranslate2", which faster-whisper runs.
        quantization: of its weights: float32, float16, int8, or another that CTranslate2 knows.

    Raises:
        CheckpointError: the model cannot be found.
        ConfigError: the format is not known, or has nothing for such a model.
        ExportError: the two do not agree, or the runtime is not installed; nothing is written.
        StorageError: it could not be written.
    """
    from speechxfer.encoders.checkpoints import find
    from speechxfer.runs import RunFolder

    name = os.fspath(model) if isinstance(model, str | os.PathLike) else str(RunFolder(folder_of(model)).model)
    find(name)  # before torch, so that a misspelt name is reported at once

    from speechxfer.export import export as write

    return write(name, Path(output), to=to, quantization=quantization)
