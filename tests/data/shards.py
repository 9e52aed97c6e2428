"""Tar shards of tones for tests."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import soundfile

from tests.conftest import tone


def encoded(text: str, format_: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, tone(text), 16_000, format=format_)
    return file.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return path


def shard(path: Path, texts: Mapping[str, str], **columns: Any) -> Path:
    """A shard with a tone, its text and some columns for each key."""
    members: dict[str, bytes] = {}
    for key, text in texts.items():
        members[f"{key}.wav"] = encoded(text)
        members[f"{key}.txt"] = text.encode()
        members[f"{key}.json"] = json.dumps(columns).encode()
    return write_tar(path, members)
