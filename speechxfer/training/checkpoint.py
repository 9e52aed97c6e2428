"""Everything a run needs to go on as if it had never stopped, as safetensors and JSON; no pickle.

A run keeps its two newest checkpoints: whichever is torn, the one before it leads to the same losses.
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
from speechxfer.storage import replacing_folder, write_json, write_tensors

_WEIGHT, _MOMENT = "weight/", "moment/"
_STATE, _POSITION = "state.safetensors", "position.json"
_KEPT = 2


@dataclass
class Position:
    """Where a run stands. Random numbers are a function of seed, step and utterance, so they need no state."""

    epoch: int = 0
    #: Steps done in this epoch, and in all.
    batch: int = 0
    step: int = 0
    #: Sums over the epoch so far: losses and what was learned, and norms of the gradient.
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
    guard: dict[str, Any] = field(default_factory=dict)
    #: What the run is trained on, so that resuming on other data is noticed.
    data: str = ""
    #: Spent in steps and in decoding dev, in seconds.
    training_s: float = 0.0
    dev_s: float = 0.0

    @property
    def mean_loss(self) -> float:
        """The epoch's loss a label so far."""
        return self.loss / max(self.labels, 1)


def save(
    folder: Path, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, position: Position
) -> None:
    """Write trained weights, the optimiser's moments and the position as a new checkpoint, all of them or none.

    Raises:
        StorageError: it could not be written; the checkpoints before it are untouched.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        tensors[_WEIGHT + name] = parameter.detach().cpu().contiguous()
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{_MOMENT}{key}/{name}"] = value.detach().cpu().contiguous()
    with replacing_folder(folder / f"step-{position.step:08d}") as temporary:
        write_tensors(temporary / _STATE, tensors)
        write_json(temporary / _POSITION, {"checksum": _checksum(temporary / _STATE), **asdict(position)})
    for old in _newest_first(folder)[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def load(
    folder: Path, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, progress: Progress
) -> Position | None:
    """Put the newest sound checkpoint's weights and moments in place; its position, or None where there is none.

    Raises:
        CheckpointError: all are damaged, or other parts were trained.
    """
    damaged = []
    for path in _newest_first(folder):
        try:
            tensors, position = _read(path)
        except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
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
    values = json.loads((path / _POSITION).read_text())
    if values.pop("checksum") != _checksum(path / _STATE):
        raise ValueError(f"{_STATE} is not what was written")
    values["best"] = tuple(values["best"]) if values["best"] else None
    return load_file(path / _STATE), Position(**values)


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
                parameters[key.removeprefix(_WEIGHT)].copy_(tensor)
        else:
            moment, name = key.removeprefix(_MOMENT).split("/", 1)
            parameter = parameters[name]
            optimizer.state.setdefault(parameter, {})[moment] = tensor.to(parameter.device)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
