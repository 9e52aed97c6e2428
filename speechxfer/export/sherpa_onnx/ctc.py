"""A CTC model in the form of a Moonshine: the first graph writes all tokens, and the others hand them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from speechxfer.export.onnx.graph import block_of, inputs_of, least_blocks_of, write_graph
from speechxfer.export.onnx.pieces import collapsing, graph, joined, padding
from speechxfer.export.onnx.quantization import quantize
from speechxfer.export.sherpa_onnx.moonshine import END, FILES, ROWS, passing_on, write_tokens
from speechxfer.model import SpeechModel

#: The number of the first symbol.
_FIRST = END + 1


def write(model: SpeechModel, folder: Path, quantization: str, examples: Sequence[np.ndarray]) -> None:
    """Write the four graphs and the tokens."""
    texts, path = model.head.symbol_texts, folder / FILES["preprocessor"]
    write_graph(model, path)
    quantize(path, quantization, [inputs_of(model.encoder, waveform) for waveform in examples])
    before = padding(block_of(model.encoder), least_blocks_of(model.encoder))
    whole = joined(before, onnx.load(path))
    written = joined(whole, collapsing(len(texts), _FIRST))
    onnx.save(joined(written, _ending()), path)
    onnx.save(passing_on("int64", 1), folder / FILES["encoder"])
    for name in ("uncached_decoder", "cached_decoder"):
        onnx.save(_handing_out(_FIRST + len(texts) - 1), folder / FILES[name])
    write_tokens(folder, [b"<unk>", b"<s>", b"</s>", *(text.encode() for text in texts[1:])])


def _ending() -> onnx.ModelProto:
    """Tokens [1, count] to as many rows as it takes for all of them to be read, the rest being ends."""
    return graph(f"""
        ending (int64[1, count] written) => (int64[1, rows, 1] given)
        <int64[1] one = {{1}}, int64[1] many = {{{ROWS}}}, int64[3] none = {{0, 0, 0}}, int64 end = {{{END}}},
         int64[1] last = {{2}}>
        {{
            size = Shape <start = 1> (written)
            with_end = Add (size, one)
            wanted = Mul (with_end, many)
            missing = Sub (wanted, size)
            pads = Concat <axis = 0> (none, missing)
            padded = Pad (written, pads, end)
            given = Unsqueeze (padded, last)
        }}
    """)


def _handing_out(tokens: int) -> onnx.ModelProto:
    """The scores of all tokens [1, 1, tokens], of which the highest is that of the row whose turn it is."""
    return graph(f"""
        handing_out (int32[1, 1] token, int64[1, rows, 1] rows, int32[1] turn) => (float[1, 1, {tokens}] scores)
        <int32[1] one = {{1}}, int64[1] last = {{2}}, int64[1] tokens = {{{tokens}}}, float[2] values = {{0, 100}}>
        {{
            place = Sub (turn, one)
            row = Gather <axis = 1> (rows, place)
            number = Squeeze (row, last)
            scores = OneHot <axis = -1> (number, tokens, values)
        }}
    """)
