"""What leaves a run: its page, and its model for another runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechxfer.api.training import folder_of
from speechxfer.config import nested
from speechxfer.data.dataset import Data, Dataset
from speechxfer.errors import ConfigError
from speechxfer.extras import explained

if TYPE_CHECKING:
    from speechxfer.export.parity import Parity
    from speechxfer.progress import Progress
    from speechxfer.runs import RunFolder
    from speechxfer.training.finetune import Run


@explained()
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


@explained()
def export(
    model: str | os.PathLike[str] | Run,
    output: str | os.PathLike[str],
    *,
    to: str | None = None,
    quantization: str | None = None,
    dev: Data | None = None,
    progress: Progress | None = None,
) -> Parity:
    """Write an adapted model for another runtime, and compare the two.

    Both transcribe or classify the same recordings, each by its own runtime. The export is refused if fewer than
    99.5 % of the texts are equal in float32, or if the error rate rises by more than 0.3 points with fewer bits. On a
    small dev set it may rise by one word or utterance, and by what chance moves it, but by no more than a point.
    `load` opens what is exported to "onnx", without torch.

    Args:
        model: an adapted model's folder, a run, or a run's folder.
        output: the folder to write; it is replaced as a whole, and only after the comparison.
        to: "onnx" for ONNX Runtime (CTC and classification heads), "ctranslate2", which faster-whisper runs,
            "onnx-asr" or "ggml" for whisper.cpp (Whisper with its own decoder), "sherpa-onnx" (CTC heads, and Whisper
            with its own decoder), or "transformers"; None for the first that runs the model.
        quantization: of its weights: float32, float16, int8, or another that the runtime knows; None for the most exact
            one that it knows.
        dev: utterances with their texts or labels, of which up to 400 are compared, in any form that `evaluate` takes;
            without them those that the run was validated on, where the model stands in a run, or else a few sounds.
        progress: shows the comparison, for instance `TerminalProgress()`; nothing is shown without it.

    Raises:
        CheckpointError: the model cannot be found.
        DataError: utterances that cannot be compared on.
        ConfigError: the format is not known, or has nothing for such a model.
        ExportError: the two do not agree, or the runtime is not installed; nothing is written.
        StorageError: it could not be written.
    """
    from speechxfer.encoders.checkpoints import find
    from speechxfer.runs import RunFolder

    folder = folder_of(model)
    run = next((one for one in map(RunFolder, (folder, folder.parent)) if one.is_run), None)
    name = str(run.model if run and run.path == folder else folder)
    find(name)  # before torch, so that a misspelt name is reported at once
    utterances = dev if dev is not None or run is None else _dev_of(run)
    dataset = None if utterances is None else Dataset.of(utterances)
    if dataset is not None:
        dataset.check_files()

    from speechxfer.export import export as write

    return write(name, Path(output), to=to, quantization=quantization, dev=dataset, progress=progress)


def _dev_of(run: RunFolder) -> Path | None:
    """The manifest that a run was validated on, where that still is and its settings can be read."""
    try:
        dev = run.moved_config.dev
    except ConfigError:  # of an earlier version; its model can be used
        return None
    return Path(dev) if dev and Path(dev).exists() else None
