"""Which recordings to transcribe next."""

from __future__ import annotations

import os
from pathlib import Path

from speechxfer.api.evaluation import Model, opened_model
from speechxfer.data.dataset import Data, Dataset
from speechxfer.data.manifest import Manifest
from speechxfer.data.rows import check_suffix
from speechxfer.errors import ConfigError
from speechxfer.extras import explained
from speechxfer.progress import Progress


@explained()
def suggest(
    model: Model,
    recordings: Data,
    count: int,
    *,
    output: str | os.PathLike[str] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Manifest:
    """Choose the recordings whose transcripts would help a model most, with its own texts to be corrected.

    They are those that stand for many others of which the model is not certain. The first is worth most, so the first
    ten of twenty are a good choice of ten.

    Args:
        model: a `SpeechModel`, a `Run`, or a folder, an installed package or a name on the hub.
        recordings: to choose from, each short enough for the model; data as for `evaluate`. Those with a text (or a
            label, for a classifier) count as transcribed: they and what is like them are not suggested.
        count: how many.
        output: a manifest for them (.jsonl, .csv or .tsv), which must not be there yet.
        device: for a model that is opened here.
        progress: receives what goes on.

    Returns:
        The recordings, with the model's texts or labels and, in the column `confidence`, its confidences.

    Raises:
        CheckpointError: the model cannot be found or read.
        ConfigError: a count below 1, an output that is there, or no such device.
        DataError: all recordings are transcribed, or none can be read.
        StorageError: the output cannot be written.
    """
    _check(count, output)
    progress = progress or Progress()
    dataset = Dataset.of(recordings, "recordings")
    dataset.check_files()
    opened = opened_model(model, device)
    from speechxfer.training.usable import readable
    from speechxfer.unlabeled.suggesting import suggested

    found = suggested(opened, readable(dataset, progress, decoded=True), count, progress)
    if output is not None:
        found.write(output)
    return found


def _check(count: int, output: str | os.PathLike[str] | None) -> None:
    if count < 1:
        raise ConfigError(f"--count {count}: wanted 1 recording at least")
    if output is None:
        return
    check_suffix(Path(output))
    if Path(output).exists():
        raise ConfigError(f"--output {output}: is there already, and texts in it may have been corrected; choose another name")  # fmt: skip  # noqa: E501
