"""Small graphs that stand before and after a model's own, written in ONNX's text format."""

from __future__ import annotations

import onnx
from onnx import compose, parser

#: The version of the format and of the operators, as torch's exporter writes them.
_HEADER = '<ir_version: 10, opset_import: ["" : 20]>'


def graph(text: str) -> onnx.ModelProto:
    """A graph from its text."""
    model = parser.parse_model(f"{_HEADER}\n{text}")
    onnx.checker.check_model(model)
    return model


def joined(first: onnx.ModelProto, second: onnx.ModelProto) -> onnx.ModelProto:
    """A graph whose outputs are the inputs of another, which have the same names."""
    names, prefix = [value.name for value in second.graph.input], f"{second.graph.name}."
    second = compose.add_prefix(second, prefix, rename_outputs=False)
    second.ir_version = first.ir_version
    return compose.merge_models(first, second, io_map=[(name, f"{prefix}{name}") for name in names])


def renamed(model: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    """A graph, in place, with other names of some inputs and outputs."""
    for value in (*model.graph.input, *model.graph.output):
        value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        for names_of in (node.input, node.output):
            names_of[:] = [names.get(name, name) for name in names_of]
    return model


def padding(block: int, least_blocks: int) -> onnx.ModelProto:
    """A waveform [1, samples] to one of a multiple of `block` samples, and how many it had [1]."""
    return graph(f"""
        padding (float[1, samples] audio) => (float[1, padded] waveforms, int64[1] num_samples)
        <int64[1] block = {{{block}}}, int64[1] rest = {{{block - 1}}}, int64[1] least = {{{least_blocks}}},
         int64[3] none = {{0, 0, 0}}>
        {{
            num_samples = Shape <start = 1> (audio)
            rounded = Add (num_samples, rest)
            started = Div (rounded, block)
            blocks = Max (started, least)
            size = Mul (blocks, block)
            missing = Sub (size, num_samples)
            pads = Concat <axis = 0> (none, missing)
            waveforms = Pad (audio, pads)
        }}
    """)


def collapsing(symbols: int, first: int) -> onnx.ModelProto:
    """Scores of symbols [1, frames, symbols] to the numbers of those that are written [1, count].

    The most likely of each frame counts; repeats are collapsed first, then blanks, which are 0, are dropped. The symbol
    1 gets the number `first`.
    """
    return graph(f"""
        collapsing (float[1, frames, {symbols}] outputs, int64[1] num_frames) => (int64[1, count] written)
        <int64[1] zero = {{0}}, int64[1] one = {{1}}, int64 blank = {{0}}, int64[1, 1] before = {{0}},
         int64[1] minus_one = {{-1}}, int64 added = {{{first - 1}}}>
        {{
            likely = ArgMax <axis = 2, keepdims = 0> (outputs)
            path = Slice (likely, zero, num_frames, one)
            longer = Concat <axis = 1> (before, path)
            earlier = Slice (longer, zero, minus_one, one)
            same = Equal (path, earlier)
            is_blank = Equal (path, blank)
            dropped = Or (same, is_blank)
            kept = Not (dropped)
            flat = Squeeze (kept, zero)
            numbers = Compress <axis = 1> (path, flat)
            written = Add (numbers, added)
        }}
    """)
