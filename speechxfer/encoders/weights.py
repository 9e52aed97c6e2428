"""Which files of a folder hold a model's weights, and reading them: tensors only, never code.

The choice is that of `transformers`, except that an index whose files are all there comes before a single file, which
is then left from an earlier save. Nothing else in the folder is read, whatever its name ends with.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from speechxfer.encoders.files import check_fetched, read_json, unfinished
from speechxfer.errors import CheckpointError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Names of the weights in one file, the preferred ones first; `NAME.index.json` lists the files of a larger model.
MODEL_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
#: Names of what a model has for one of its languages, of which there may be a thousand in its folder.
LANGUAGE_WEIGHTS = ("adapter.{}.safetensors", "adapter.{}.bin")
INDEX = ".index.json"
_HEADER = 8  # bytes of a safetensors file that give the size of its header


def weight_files(folder: Path, names: tuple[str, ...] = MODEL_WEIGHTS) -> list[Path]:
    """The files that hold the weights.

    Raises:
        CheckpointError: there are none, or not all that an index names.
    """
    for name in names:
        index, single = folder / f"{name}{INDEX}", folder / name
        pieces = _indexed(index) if index.is_file() else []
        missing = [piece for piece in pieces if not piece.is_file()]
        if pieces and not missing:
            return pieces
        if single.is_file():
            return [single]
        if missing:
            raise CheckpointError(f"{folder}: lacks {missing[0].name}, one of {len(pieces)} files that {index.name} names, so it was not downloaded or copied whole; fetch it again")  # fmt: skip  # noqa: E501
    if part := unfinished(folder):
        raise CheckpointError(f"{folder}: its download was not finished ({part}) and it holds no weights yet; download the model again")  # fmt: skip  # noqa: E501
    similar = sorted(item.name for item in folder.iterdir() if item.suffix in (".safetensors", ".bin", ".pt", ".pth"))
    seen = f", but {', '.join(similar[:3])}" if similar else ""
    raise CheckpointError(f"{folder}: holds no weights{seen}; wanted {' or '.join(names)} beside config.json")


def _indexed(index: Path) -> list[Path]:
    named = read_json(index).get("weight_map")
    if not isinstance(named, dict) or not named:
        raise CheckpointError(f"{index}: names no files (weight_map); copy or download it again")
    names = sorted({str(name) for name in named.values()})
    if outside := [name for name in names if Path(name).name != name]:
        raise CheckpointError(f"{index}: names {outside[0]!r}; wanted files of its own folder")
    return [index.parent / name for name in names]


def read_weights(folder: Path, names: tuple[str, ...] = MODEL_WEIGHTS) -> dict[str, Tensor]:
    """The tensors of a folder's weights, on torch's default device; numbers of any precision become float32.

    On the device "meta", only names and shapes are read, which takes no time and no memory. Of a pickle (`.bin`) only
    tensors are read: whatever else one holds is refused, not run.

    Raises:
        CheckpointError: there are none, or one is damaged or more than tensors.
    """
    import torch

    device = torch.get_default_device()
    state: dict[str, Tensor] = {}
    for file in weight_files(folder, names):
        check_fetched(file)
        read = _safetensors(file) if file.suffix == ".safetensors" else _unpickled(file, device)
        state |= {name: tensor.to(device) for name, tensor in read.items()}
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def _safetensors(file: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        size, whole = file.stat().st_size, _whole_size(file)
        if whole is not None and size < whole:
            raise CheckpointError(f"{file}: ends after {size:,} of {whole:,} bytes, so it was not downloaded or copied whole; fetch it again") from error  # fmt: skip  # noqa: E501
        raise CheckpointError(f"{file}: cannot be read ({error}); copy or download it again") from error


def _whole_size(file: Path) -> int | None:
    """How many bytes a safetensors file has by its own header; None where that cannot be read either."""
    with file.open("rb") as opened:
        start = opened.read(_HEADER)
        size = _HEADER + int.from_bytes(start, "little")
        header = opened.read(size - _HEADER) if len(start) == _HEADER and size < 2**27 else b""
    if len(start) == _HEADER and len(header) < size - _HEADER and header.startswith(b"{"):
        return size
    try:
        ends = [entry["data_offsets"][1] for name, entry in json.loads(header).items() if name != "__metadata__"]
        return size + int(max(ends, default=0))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return None


def _unpickled(file: Path, device: torch.device) -> dict[str, Tensor]:
    import torch

    with file.open("rb") as opened:
        is_archive = opened.read(2) == b"PK"
    if is_archive and not zipfile.is_zipfile(file):  # whose list of contents stands at its end
        raise CheckpointError(f"{file}: ends early, so it was not downloaded or copied whole; fetch it again")
    try:
        loaded = torch.load(file, map_location=device, weights_only=True)
    except Exception as error:  # whatever damaged bytes lead to
        reason = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise CheckpointError(
            f"{file}: is damaged, or a pickle of more than tensors, which could run code and is not opened "
            f"({reason:.120}); download it again, or save it as .safetensors where you trust it"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise CheckpointError(f"{file}: holds something else than named tensors; wanted a model's state dict")
    return loaded
