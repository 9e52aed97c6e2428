"""Hidden states on disk: addressed by what they were computed from, memory-mapped, never half-written.

An entry's name is made of the sound it came from, its folder's name of the weights it went through, so a changed
file, excerpt, weight or setting is another entry and an old one is never mistaken for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from speechxfer.data.manifest import Utterance
from speechxfer.data.non_speech import Margins
from speechxfer.encoders.base import Encoder
from speechxfer.errors import AudioError
from speechxfer.sources import AudioSource
from speechxfer.storage import replacing, write_tensors

#: To be raised whenever the same sound and weights would give other states: the old entries are then not found.
_FORMAT = "speechxfer frozen states 2"
#: Nobody writes one file for so long.
_ABANDONED_S = 86_400.0


class States(NamedTuple):
    """One utterance at the seam: hidden states [frames, width], and how many of the frames are its own."""

    hidden_states: Tensor
    num_frames: int


def prefix_digest(encoder: Encoder, seam: int, **settings: object) -> str:
    """A name for everything that decides the hidden states at a seam, but the sound: weights, shape, settings."""
    above = {
        id(tensor)
        for group in encoder.layer_groups()
        if group.seam > seam
        for module in group.modules
        for tensor in module.state_dict(keep_vars=True).values()
    }
    digest = hashlib.blake2b(digest_size=16)
    shape = encoder.describe()
    if encoder.pooling is None or seam <= encoder.pooling.at:
        shape.pop("pooling", None)  # what is above the seam decides nothing
    digest.update(json.dumps([_FORMAT, shape, seam, settings], sort_keys=True, default=str).encode())
    for name, tensor in encoder.state_dict(keep_vars=True).items():
        if id(tensor) not in above:
            digest.update(name.encode())
            # A copy: what NumPy looks at cannot be freed by `sharding.whole`.
            digest.update(_bytes(tensor.detach().cpu().clone()))
    return digest.hexdigest()


class Sounds:
    """Names for what utterances sound like; each file is read once however many excerpts it has."""

    def __init__(self) -> None:
        self._digests: dict[AudioSource, str] = {}

    def digest(self, utterance: Utterance, speed: float, margins: Margins | None = None) -> str:
        """A name for the samples of an utterance at a speed, with what stands before and after them.

        Raises:
            AudioError: its file cannot be read.
        """
        if utterance.source not in self._digests:
            try:
                self._digests[utterance.source] = utterance.source.digest()
            except AudioError as error:
                raise AudioError(f"{utterance.origin}: {error}") from error
        chosen = (utterance.audio_stream, utterance.audio_channel)
        excerpt = (self._digests[utterance.source], utterance.start, utterance.duration, speed, chosen)
        return hashlib.blake2b(repr(excerpt + tuple(margins or ())).encode(), digest_size=16).hexdigest()


class FrozenCache:
    """The entries of one prefix, in files of many entries each.

    Args:
        folder: where all caches are.
        prefix: what `prefix_digest` answered.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder = folder / "frozen" / prefix
        self._prefix = prefix

    def read(self, names: Iterable[str]) -> tuple[dict[str, States], list[Path]]:
        """What is there of these entries, memory-mapped, and the files that were damaged or foreign and are ignored."""
        wanted = set(names)
        found: dict[str, States] = {}
        spoilt = []
        for path in sorted(self.folder.glob("*.safetensors")):
            entries = self._entries(path, wanted)
            if entries is None:
                spoilt.append(path)
            else:
                found |= entries
        return found, spoilt

    def tidy(self) -> None:
        """Remove what writers left that were killed; what is younger than a day may still be written."""
        for path in self.folder.glob(".*.tmp"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink()

    def write(self, entries: Mapping[str, States]) -> None:
        """Add entries, all of them or none.

        Raises:
            StorageError: the disk is full or read-only; what was written before stays good.
        """
        tensors = {name: states.hidden_states.contiguous() for name, states in sorted(entries.items())}
        metadata = {
            "format": _FORMAT,
            "prefix": self._prefix,
            "frames": json.dumps({name: states.num_frames for name, states in entries.items()}),
            "checksum": _checksum(tensors),
        }
        name = hashlib.blake2b("".join(tensors).encode(), digest_size=16).hexdigest()
        with replacing(self.folder / f"{name}.safetensors") as temporary:
            write_tensors(temporary, tensors, metadata)

    def _entries(self, path: Path, wanted: set[str]) -> dict[str, States] | None:
        """The wanted entries of a file; None if it cannot be trusted."""
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                if (metadata.get("format"), metadata.get("prefix")) != (_FORMAT, self._prefix):
                    return None
                frames = json.loads(metadata["frames"])
                if not wanted & frames.keys():
                    return {}
                # The tensors keep the file mapped; nothing is in memory until it is looked at.
                tensors = {name: file.get_tensor(name) for name in sorted(frames)}
        except (SafetensorError, OSError, KeyError, ValueError):
            return None
        if _checksum(tensors) != metadata.get("checksum"):
            return None
        return {name: States(tensor, frames[name]) for name, tensor in tensors.items() if name in wanted}


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    found = 0
    for tensor in tensors.values():
        found = zlib.crc32(_bytes(tensor), found)
    return f"{found:08x}"


def _bytes(tensor: Tensor) -> memoryview:
    array: np.ndarray = tensor.contiguous().reshape(-1).view(torch.uint8).numpy()
    return array.data
