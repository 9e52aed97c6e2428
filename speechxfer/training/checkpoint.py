"""Everything a run needs to be resumed exactly, as safetensors and JSON; no pickle.

A run keeps its two newest checkpoints: if one is damaged, the one before it leads to the same losses.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from speechxfer.errors import CheckpointError
from speechxfer.progress import Progress
from speechxfer.records import converted
from speechxfer.storage import replacing_folder, write_json, write_tensors
from speechxfer.training.sharding import divided_like, full

_WEIGHT, _MOMENT = "weight/", "moment/"
_STATE, _POSITION = "state.safetensors", "position.json"
_KEPT = 2
#: Of what `position.json` holds.
_VERSION = 2


@dataclass
class Position:
    """Where a run stands. Random numbers are a function of seed, step and utterance, so they need no state."""

    epoch: int = 0
    #: Steps done in this epoch, and in all.
    batch: int = 0
    step: int = 0
    #: Steps in this epoch and those after it; 0 where an epoch is a pass over the training set.
    steps_per_epoch: int = 0
    #: Sums over the epoch so far: losses, labels that were used, and norms of the gradient.
    loss: float = 0.0
    labels: int = 0
    norm: float = 0.0
    #: The best epoch so far: what it was chosen by (lower is better), and its dev scores by name.
    best: tuple[float, ...] | None = None
    best_scores: dict[str, float] = field(default_factory=dict)
    best_epoch: int = 0
    #: What the learning rates are multiplied by after a return to an earlier state, and how many there were.
    rate_scale: float = 1.0
    rollbacks: int = 0
    #: What each callback needs to go on, by its name.
    callbacks: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: A digest of what the run is trained on, so that resuming on other data is noticed; "" before its first step.
    data: str = ""
    #: Spent in steps and in decoding dev, in seconds.
    training_s: float = 0.0
    dev_s: float = 0.0

    @property
    def mean_loss(self) -> float:
        """The epoch's loss per label so far."""
        return self.loss / max(self.labels, 1)

    def next_epoch(self) -> None:
        """Go on to the beginning of the next epoch."""
        self.epoch, self.batch, self.loss, self.labels, self.norm = self.epoch + 1, 0, 0.0, 0, 0.0


def collected(parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Trained weights and the optimizer's moments; where layers are divided, to be called by all processes."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        tensors[_WEIGHT + name] = full(parameter.detach()).cpu().contiguous()
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{_MOMENT}{key}/{name}"] = full(value.detach()).cpu().contiguous()
    return tensors


def save(folder: Path, tensors: dict[str, Tensor], position: Position) -> None:
    """Write what was collected and the position as a new checkpoint, all of them or none.

    Raises:
        StorageError: it could not be written; the checkpoints before it stay as they are.
    """
    with replacing_folder(folder / f"step-{position.step:08d}") as temporary:
        write_tensors(temporary / _STATE, tensors)
        checksum = _checksum(temporary / _STATE)
        write_json(temporary / _POSITION, {"version": _VERSION, "checksum": checksum, **asdict(position)})
    for old in _newest_first(folder)[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def load(
    folder: Path, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, progress: Progress
) -> Position | None:
    """Load the weights and moments of the newest undamaged checkpoint; its position, or None where there is none.

    Raises:
        CheckpointError: all are damaged, or of another version, or other parts were trained.
    """
    damaged = []
    for path in _newest_first(folder):
        try:
            tensors, position = _read(path)
        except (SafetensorError, ValueError, KeyError, RecursionError, OSError) as error:
            damaged.append(f"{path}: the checkpoint is damaged ({error})")
            continue
        for message in damaged:
            progress.log(f"{message}; going on from {path.name}")
        _restore(path, tensors, parameters, optimizer)
        return position
    if damaged:
        raise CheckpointError(f"{damaged[0]}, and there is no other; start again with --overwrite")
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)


def _read(path: Path) -> tuple[dict[str, Tensor], Position]:
    values = converted(dict[str, Any], json.loads((path / _POSITION).read_text(encoding="utf-8")))
    if (version := values.pop("version", 1)) != _VERSION:
        raise CheckpointError(
            f"{path}: is of version {version}, but this version of speechxfer reads {_VERSION}; resume the run with "
            "the version that began it, or start again with --overwrite"
        )
    if values.pop("checksum") != _checksum(path / _STATE):
        raise ValueError(f"{_STATE} is not what was written")
    return load_file(path / _STATE), converted(Position, values)


def _restore(
    path: Path, tensors: dict[str, Tensor], parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    saved = {name.removeprefix(_WEIGHT) for name in tensors if name.startswith(_WEIGHT)}
    if saved != set(parameters):
        differing = ", ".join(sorted(saved ^ set(parameters))[:3])
        raise CheckpointError(f"{path}: was trained with other parts frozen (differing: {differing}, ...)")
    optimizer.state.clear()
    for key, tensor in tensors.items():
        if key.startswith(_WEIGHT):
            with torch.no_grad():
                parameter = parameters[key.removeprefix(_WEIGHT)]
                parameter.copy_(divided_like(tensor, parameter))
        else:
            moment, name = key.removeprefix(_MOMENT).split("/", 1)
            parameter = parameters[name]
            optimizer.state.setdefault(parameter, {})[moment] = divided_like(tensor, parameter)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
