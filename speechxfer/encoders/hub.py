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

from speechxfer.encoders.weights import ADAPTER_WEIGHTS, LANGUAGE_WEIGHTS, MODEL_WEIGHTS, weight_files
from speechxfer.errors import CheckpointError

_PATIENCE_S = 1.5
_WANTED = ("*.json", "*.safetensors", "*.txt")
#: The adapters of other languages, of which one model has a thousand, and other precisions of the same weights.
_UNWANTED = (LANGUAGE_WEIGHTS[0].format("*"), "model.fp16.safetensors", "model.bf16.safetensors", "*/*.safetensors")
#: Some published models exist in no other form: pickles, or converted for CTranslate2.
_OTHER_FORMS = ("pytorch_model*.bin", "adapter_model.bin", "model.bin")


def from_hub(name: str, closest: str, revision: str | None = None) -> Path:
    """The folder of a complete model; files that the cache lacks are fetched.

    Args:
        name: its id.
        closest: what an error adds about a folder with a similar name.
        revision: a branch, a tag or a commit; the main branch without it.

    Raises:
        CheckpointError: it is not there, or the hub cannot be reached, which is found out within two seconds.
    """
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    lacks, label = None, name if revision is None else f"{name} (revision {revision})"
    download = functools.partial(huggingface_hub.snapshot_download, name, revision=revision)
    try:
        folder = Path(download(local_files_only=True))
        if not (lacks := _lacks(folder)):
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
        folder = Path(download(allow_patterns=list(_WANTED), ignore_patterns=list(_UNWANTED)))
        if _lacks(folder):
            download(allow_patterns=list(_OTHER_FORMS))
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


def _lacks(folder: Path) -> str | None:
    """What a folder lacks to be a model or an adapter; None where it is whole."""
    is_model = (folder / "config.json").is_file()
    if not is_model and not (folder / "adapter_config.json").is_file():
        return "no config.json"
    if is_model and (folder / "model.bin").is_file():  # of CTranslate2
        return None
    try:
        weight_files(folder, MODEL_WEIGHTS if is_model else ADAPTER_WEIGHTS)
    except CheckpointError as error:
        return str(error).removeprefix(f"{folder}: ").partition(",")[0]
    return None


def _reachable(endpoint: str) -> bool:
    """Whether a connection to the hub (or the proxy before it) opens in time; name look-ups included."""
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
