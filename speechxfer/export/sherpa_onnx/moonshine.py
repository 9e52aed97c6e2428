"""The form of a Moonshine: four graphs and tokens.

It is the one that sherpa-onnx gives waveforms as they are, where its other readers each bring a front end of their own.
The first two graphs see the sound, the others write token by token, the third the first one and the fourth the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx

from speechxfer.export.onnx.pieces import graph

#: Arguments of the reader, with the files.
FILES = {
    "preprocessor": "preprocess.onnx", "encoder": "encode.onnx", "uncached_decoder": "uncached_decode.onnx",
    "cached_decoder": "cached_decode.onnx", "tokens": "tokens.txt",
}  # fmt: skip
#: The token that ends a text.
END = 2
#: Rows that the second graph gives for each frame or token: the reader stops after 0.144 tokens for each.
ROWS = 8


def passing_on(kind: str, width: int) -> onnx.ModelProto:
    """What the first graph gave, as it is."""
    return graph(f"""
        passing_on ({kind}[1, rows, {width}] given, int32[1] count) => ({kind}[1, rows, {width}] passed)
        {{ passed = Identity (given) }}
    """)


def write_tokens(folder: Path, texts: Sequence[bytes]) -> None:
    """What each token writes; those with white space inside are left out, for the file separates by it."""
    with (folder / FILES["tokens"]).open("wb") as file:
        for number, text in enumerate(texts):
            written = b"\xe2\x96\x81" + text[1:] if text[:1] == b" " else text
            if written and not set(written) & set(b" \t\n\v\f\r"):
                file.write(written + b" %d\n" % number)
