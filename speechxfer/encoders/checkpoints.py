"""Where weights come from: a folder, this package, an installed one, a CTranslate2 folder or the hub.

`find` only decides where the weights are, quickly and without torch; `Checkpoint.read` loads them.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import json
import os
import re
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from speechxfer.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

#: Written into every folder `SpeechModel.save` makes.
MODEL_FILE = "speechxfer.json"
#: Models that come with this package.
SHIPPED = Path(__file__).parents[1] / "pretrained"
_HUB_PATIENCE_S = 1.5
#: What belongs to a model's configuration but is kept in other files: tokens never written (newer versions of
#: `transformers` keep them there only), which heads of attention tell when a word was said, and whether waveforms are
#: normalised.
_SETTINGS_ELSEWHERE = {
    "generation_config.json": ("suppress_tokens", "begin_suppress_tokens", "alignment_heads"),
    "preprocessor_config.json": ("do_normalize",),
    "processor_config.json": ("do_normalize",),
}
_WANTED_FROM_HUB = ("*.json", "*.safetensors", "*.txt")
#: Some published models exist in no other form.
_PICKLED = "pytorch_model*.bin"


@dataclass(frozen=True)
class Checkpoint:
    """A folder that holds a pre-trained model, and the name it was asked for by."""

    name: str
    folder: Path

    @property
    def is_ours(self) -> bool:
        """Whether `SpeechModel.save` made it."""
        return (self.folder / MODEL_FILE).is_file()

    def read(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The configuration and state dict as `transformers` names them.

        Raises:
            CheckpointError: files are missing, damaged or of a kind that is not read.
        """
        config = read_json(self.folder / "config.json")
        if (self.folder / "model.bin").is_file() and "model_type" not in config:
            from speechxfer.encoders.ctranslate2 import read_whisper

            return read_whisper(self.folder)
        for file, names in _SETTINGS_ELSEWHERE.items():
            config = {**config, **_settings(self.folder / file, names)}
        return config, read_weights(self.folder)


def _settings(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """Those of the settings that a file, which may be missing, has a value for."""
    if not path.is_file():
        return {}
    values = read_json(path)
    values = values.get("feature_extractor", values)
    return {name: values[name] for name in names if values.get(name) not in (None, [])}


def read_json(path: Path) -> Any:
    """A JSON file of a model folder.

    Raises:
        CheckpointError: missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent}: lacks {path.name}, so it is not a model folder") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: is not JSON ({error}); copy the model folder again") from error


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder's safetensors files; where there are none, of its `pytorch_model*.bin`.

    The latter are pickles, of which only tensors are read: whatever else one holds is refused, not run.

    Raises:
        CheckpointError: there are none, or one is damaged or more than tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    state: dict[str, Tensor] = {}
    for file in files:
        try:
            state |= load_file(file)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file}: cannot be read ({error}); copy or download it again") from error
    pickled = [] if files else sorted(folder.glob(_PICKLED))
    for file in pickled:
        state |= _unpickled(file)
    if not files and not pickled:
        raise CheckpointError(f"{folder}: holds no weights; wanted .safetensors (or {_PICKLED}) beside config.json")
    return state


def _unpickled(file: Path) -> dict[str, Tensor]:
    import torch

    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever damaged bytes lead to
        reason = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise CheckpointError(
            f"{file}: is damaged, or a pickle of more than tensors, which could run code and is not opened "
            f"({reason:.120}); download it again, or save it as .safetensors where you trust it"
        ) from error
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise CheckpointError(f"{file}: holds something else than named tensors; wanted a model's state dict")
    return loaded


def find(name: str) -> Checkpoint:
    """Locate a model by folder, name of one that comes with this package, installed package or hub id, in this order.

    Raises:
        CheckpointError: it is nowhere, or the hub cannot be reached (told within two seconds).
    """
    path = Path(name).expanduser()
    if path.is_dir():
        if not any((path / file).is_file() for file in (MODEL_FILE, "config.json")):
            raise CheckpointError(f"{name}: this folder holds no config.json, so it is not a model")
        return Checkpoint(name, path)
    if path.exists():
        raise CheckpointError(f"{name}: is a file; wanted the folder that holds config.json and the weights")
    if path.name == name and (SHIPPED / name / "config.json").is_file():
        return Checkpoint(name, SHIPPED / name)
    if folder := _in_package(name):
        return Checkpoint(name, folder)
    if _looks_like_a_path(name):
        raise CheckpointError(f"{name}: no such folder{_closest(path)}; a model is a folder, a package or a hub id")
    return Checkpoint(name, _from_hub(name))


def _looks_like_a_path(name: str) -> bool:
    parent = Path(name).expanduser().parent
    is_hub_id = re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) and not name.startswith(".")
    return not is_hub_id or (parent != Path() and parent.is_dir())


def _closest(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return f" (did you mean {path.parent / near[0]}?)" if near else ""


def _in_package(name: str) -> Path | None:
    """The folder with the weights in an installed distribution of this name."""
    try:
        distribution = importlib.metadata.distribution(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    files = distribution.files or []
    for weights in ("model.bin", "model.safetensors"):
        for file in files:
            folder = Path(str(distribution.locate_file(file))).parent
            if file.name == weights and (folder / "config.json").is_file():
                return folder
    raise CheckpointError(f"{name}: this installed package carries no model (no config.json beside weights)")


def _from_hub(name: str) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(huggingface_hub.snapshot_download(name, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    offline = bool(os.environ.get("HF_HUB_OFFLINE"))
    if offline or not _reachable(huggingface_hub.constants.ENDPOINT):
        reason = "HF_HUB_OFFLINE is set" if offline else "the hub cannot be reached"
        raise CheckpointError(
            f"{name}: is neither a folder{_closest(Path(name))} nor an installed package nor in the local hub cache, "
            f"and {reason}; check the spelling or the connection"
        )
    try:
        folder = Path(huggingface_hub.snapshot_download(name, allow_patterns=list(_WANTED_FROM_HUB)))
        if not any(folder.glob("*.safetensors")):
            huggingface_hub.snapshot_download(name, allow_patterns=[_PICKLED])
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{name}: could not be fetched from the hub ({reason})") from error
    return folder


def _reachable(endpoint: str) -> bool:
    """Whether a connection to the hub (or the proxy before it) opens in time; name look-ups included."""
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    target = urlsplit(proxy or endpoint)
    opened = threading.Event()

    def connect() -> None:
        port = target.port or (80 if target.scheme == "http" else 443)
        try:
            socket.create_connection((target.hostname or "", port), _HUB_PATIENCE_S).close()
        except OSError:
            return
        opened.set()

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_HUB_PATIENCE_S)
    return opened.is_set()
