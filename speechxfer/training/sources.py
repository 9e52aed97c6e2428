"""What a run learns from and starts from, by content: so that it goes on where they have moved, and on nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from speechxfer.config import FinetuneConfig, flat, read_config, to_dict
from speechxfer.data.manifest import Manifest, data_digest
from speechxfer.encoders.checkpoints import MODEL_FILE, Checkpoint
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.storage import write_json
from speechxfer.training.run_folder import CONFIG_FILE, PLACES

FILE = "sources.json"
#: What of a model's folder decides what it computes.
_DECISIVE = ("*config.json", MODEL_FILE, "*.safetensors", "*.bin")


def digests(manifests: Mapping[str, Manifest], checkpoint: Checkpoint) -> dict[str, str]:
    """A name for the content of each manifest and of the model, by setting."""
    found = {name: data_digest([manifest]) for name, manifest in manifests.items()}
    return {"model": model_digest(checkpoint), **found}


def model_digest(checkpoint: Checkpoint) -> str:
    """A name for the weights and the configuration of a model, wherever its folder is.

    Raises:
        CheckpointError: a file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    if checkpoint.base is not None:  # an adapter
        digest.update(model_digest(checkpoint.base).encode())
    for path in sorted({path for pattern in _DECISIVE for path in checkpoint.folder.glob(pattern)}):
        digest.update(path.name.encode())
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, hashlib.blake2b).digest())
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def write(folder: Path, found: Mapping[str, str]) -> None:
    """Keep the names in a run's folder.

    Raises:
        StorageError: they could not be written.
    """
    write_json(folder / FILE, found)


def check(folder: Path, config: FinetuneConfig, found: Mapping[str, str]) -> None:
    """Look whether a run that is to be resumed had the same data and the same model when it began.

    Raises:
        CheckpointError: the content is another.
        ConfigError: the path is another, in a run that did not note the content.
    """
    try:
        noted = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        noted = {}
    except ValueError as error:
        raise CheckpointError(f"{folder / FILE}: is damaged ({error}); start again with --overwrite") from error
    old, new = flat(to_dict(read_config(folder / CONFIG_FILE))), flat(to_dict(config))
    for name in PLACES:
        if name in noted and noted[name] != found.get(name):
            what = "model" if name == "model" else f"{name.rpartition('.')[2]} manifest"
            raise CheckpointError(
                f"{new[name]}: the {what} has changed since the run began; put the old one back, or start again with "
                "--overwrite"
            )
        # Of the training and the dev manifest, the checkpoint itself has noted the content.
        if name not in noted and name not in ("train", "dev") and old.get(name) != new.get(name):
            raise ConfigError(
                f"{folder / CONFIG_FILE}: the run was started with other settings ({name} was {old.get(name)!r}, now "
                f"{new.get(name)!r}); use the same ones, or --overwrite"
            )
