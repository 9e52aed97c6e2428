"""Targets: tar shards and Parquet files, which hold recordings and what is known of them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from scripts.fuzz.contract import Target
from speechxfer import audio
from speechxfer.data.manifest import Manifest

_SAMPLES = 400


def _read(path: Path) -> object:
    """All lines, and all sound of them."""
    manifest = Manifest.read(path)
    return [list(audio.blocks(one.source, start=one.start, duration=one.duration, **one.reading)) for one in manifest]


def _wav() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.linspace(-0.5, 0.5, _SAMPLES), 8000, format="WAV")
    return file.getvalue()


def _tars(_folder: Path) -> Iterable[bytes]:
    for format_ in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=format_) as tar:
            row = json.dumps({"speaker": "ann", "start": 0.01}).encode()
            for name, data in (("a.wav", _wav()), ("a.txt", "sì".encode()), ("é/b.wav", _wav()), ("é/b.json", row)):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        yield file.getvalue()


def _tables(_folder: Path) -> Iterable[bytes]:
    import pyarrow
    import pyarrow.parquet

    texts = ["sì", "no"]
    recordings = [{"bytes": _wav(), "path": "a.wav"}, {"bytes": _wav(), "path": None}]
    for columns in ({"audio": recordings, "text": texts}, {"audio": [_wav(), _wav()], "text": texts, "start": [0.01, None]}):  # fmt: skip  # noqa: E501
        for compression in ("none", "snappy"):
            file = io.BytesIO()
            pyarrow.parquet.write_table(pyarrow.table(columns), file, row_group_size=1, compression=compression)
            yield file.getvalue()


SHARD_FILES = (
    Target("tar", "rows.tar", _read, _tars, weight=3),
    Target("parquet", "rows.parquet", _read, _tables, weight=3),
)
