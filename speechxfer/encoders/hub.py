"""Models of the Hugging Face hub: from its cache on this machine, or fetched."""

from __future__ import annotations

import functools
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from speechxfer.encoders.files import read_json
from speechxfer.encoders.weights import ADAPTER_WEIGHTS, LANGUAGE_WEIGHTS, MODEL_WEIGHTS, weight_files
from speechxfer.errors import CheckpointError

_PATIENCE_S = 1.5
#: What describes a model: its configuration and its vocabulary.
_DESCRIPTION = ("*.json", "*.txt")
_WANTED = (*_DESCRIPTION, "*.safetensors")
#: The adapters of other languages, of which one model has a thousand, and other precisions of the same weights.
_UNWANTED = (LANGUAGE_WEIGHTS[0].format("*"), "model.fp16.safetensors", "model.bf16.safetensors", "*/*.safetensors")
#: Forms in which some models are published only: pickles, and folders of CTranslate2.
_OTHER_FORMS = ("pytorch_model*.bin", "adapter_model.bin", "model.bin")


def from_hub(name: str, closest: str, revision: str | None = None, *, weights: bool = True) -> Path:
    """The folder of a complete model in the local hub cache; missing files are downloaded.

    Args:
        name: the hub id.
        closest: text about a folder with a similar name, added to the error that the model is nowhere.
        revision: a branch, a tag or a commit; the main branch without it.
        weights: without them, a model whose configuration names its class is complete.

    Raises:
        CheckpointError: the hub has no such model, or cannot be reached (reported within two seconds).
    """
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    lacks, label = None, name if revision is None else f"{name} (revision {revision})"
    download = functools.partial(huggingface_hub.snapshot_download, name, revision=revision)
    try:
        folder = Path(download(local_files_only=True))
        if not (lacks := _lacks(folder, weights=weights)):
            return folder
    except LocalEntryNotFoundError:
        pass
    if reason := _offline():
        if lacks:
            raise CheckpointError(f"{label}: the local hub cache holds only a part of it ({lacks}), and {reason}; run again with a connection")  # fmt: skip  # noqa: E501
        raise CheckpointError(
            f"{label}: is neither a folder{closest} nor an installed package nor in the local hub cache, "
            f"and {reason}; check the spelling or the connection"
        )
    with _fetching(label):
        for patterns in (*(() if weights else (_DESCRIPTION,)), _WANTED, _OTHER_FORMS):
            folder = Path(download(allow_patterns=list(patterns), ignore_patterns=list(_UNWANTED)))
            if not _lacks(folder, weights=weights):
                break
    return folder


def one_more_from_hub(name: str, folder: Path, files: Sequence[str]) -> None:
    """Fetch the first of these files that a model has, if none of them is in its folder of the cache.

    Raises:
        CheckpointError: the model has none of them, or the hub cannot be reached.
    """
    import huggingface_hub

    if any((folder / file).is_file() for file in files):
        return
    if reason := _offline():
        raise CheckpointError(f"{name}: the local hub cache lacks {files[0]}, and {reason}; run again with a connection")  # fmt: skip  # noqa: E501
    for file in files:
        with _fetching(name):  # the same commit, so that it comes into the same folder
            huggingface_hub.snapshot_download(name, revision=folder.name, allow_patterns=[file])
        if (folder / file).is_file():
            return
    raise CheckpointError(f"{name}: has no {' or '.join(files)} on the hub")


@contextmanager
def _fetching(label: str) -> Iterator[None]:
    """What goes wrong in here is a download that failed."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(f"{label}: could not be fetched from the hub ({reason})") from error


def _offline() -> str | None:
    """Why nothing can be fetched; None where it can."""
    import huggingface_hub

    if os.environ.get("HF_HUB_OFFLINE"):
        return "HF_HUB_OFFLINE is set"
    return None if _reachable(huggingface_hub.constants.ENDPOINT) else "the hub cannot be reached"


def is_whole(folder: Path) -> bool:
    """Whether a folder holds all of a model or an adapter, weights included."""
    return _lacks(folder, weights=True) is None


def _lacks(folder: Path, *, weights: bool) -> str | None:
    """What is missing in a folder for a complete model or adapter; None if it is complete."""
    is_model = (folder / "config.json").is_file()
    if not is_model and not (folder / "adapter_config.json").is_file():
        return "no config.json"
    if is_model and not weights and read_json(folder / "config.json").get("architectures"):
        return None
    if is_model and (folder / "model.bin").is_file():  # of CTranslate2
        return None
    try:
        weight_files(folder, MODEL_WEIGHTS if is_model else ADAPTER_WEIGHTS)
    except CheckpointError as error:
        return str(error).removeprefix(f"{folder}: ").partition(",")[0]
    return None


def _reachable(endpoint: str) -> bool:
    """Whether a connection to the hub, or to the proxy before it, opens in time, including the look-up of its name."""
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    target = urlsplit(proxy or endpoint)
    opened = threading.Event()

    def connect() -> None:
        port = target.port or (80 if target.scheme == "http" else 443)
        try:
            socket.create_connection((target.hostname or "", port), _PATIENCE_S).close()
        except OSError:
            return
        opened.set()

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_PATIENCE_S)
    return opened.is_set()
