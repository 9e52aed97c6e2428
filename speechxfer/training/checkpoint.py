"""Everything a run needs to go on as if it had never stopped, as safetensors and JSON; no pickle."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from speechxfer.errors import CheckpointError
from speechxfer.model import SpeechModel
from speechxfer.storage import replacing_folder, write_json, write_tensors

_WEIGHT, _MOMENT = "weight/", "moment/"


@dataclass
class Position:
    """Where a run stands. Random numbers are a function of seed and step, so they need no state."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    loss: float = 0.0
    labels: int = 0
    best: tuple[float, float] | None = None
    best_epoch: int = 0


def save(folder: Path, model: SpeechModel, optimizer: torch.optim.Optimizer, position: Position) -> None:
    """Trained weights, the optimiser's moments and the position, all of them or none.

    Raises:
        StorageError: it could not be written; the checkpoint before it is untouched.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in _trained(model).items():
        tensors[_WEIGHT + name] = parameter.detach().cpu().contiguous()
        for key, value in optimizer.state[parameter].items():
            tensors[f"{_MOMENT}{key}/{name}"] = value.detach().cpu().contiguous()
    with replacing_folder(folder) as temporary:
        write_tensors(temporary / "state.safetensors", tensors)
        write_json(temporary / "position.json", asdict(position))


def load(folder: Path, model: SpeechModel, optimizer: torch.optim.Optimizer) -> Position:
    """Put a checkpoint's weights and moments in place and return its position.

    Raises:
        CheckpointError: there is none, it is damaged, or other parts were trained.
    """
    try:
        tensors = load_file(folder / "state.safetensors")
        values = json.loads((folder / "position.json").read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{folder}: holds no checkpoint to resume from; start with --overwrite") from None
    except (SafetensorError, ValueError, OSError) as error:
        raise CheckpointError(f"{folder}: the checkpoint is damaged ({error}); start with --overwrite") from error
    trained = _trained(model)
    saved = {name.removeprefix(_WEIGHT) for name in tensors if name.startswith(_WEIGHT)}
    if saved != set(trained):
        differing = ", ".join(sorted(saved ^ set(trained))[:3])
        raise CheckpointError(f"{folder}: was trained with other parts frozen (differing: {differing}, ...)")
    for name, parameter in trained.items():
        with torch.no_grad():
            parameter.copy_(tensors[_WEIGHT + name])
        keys = [key.split("/")[1] for key in tensors if key.startswith(_MOMENT) and key.split("/", 2)[2] == name]
        # `step` stays where the optimiser keeps it, on the CPU.
        optimizer.state[parameter] = {
            key: tensors[f"{_MOMENT}{key}/{name}"].to("cpu" if key == "step" else parameter.device) for key in keys
        }
    values["best"] = tuple(values["best"]) if values["best"] else None
    return Position(**values)


def _trained(model: SpeechModel) -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
