"""A Whisper with its own decoder in the form of a Moonshine.

Whatever sherpa-onnx's reader of Whispers makes of the sound, it is not exactly what these were trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from speechxfer.export.decoder import decoder_of, token_bytes
from speechxfer.export.onnx.graph import block_of, inputs_of, least_blocks_of
from speechxfer.export.onnx.pieces import graph, joined, padding
from speechxfer.export.onnx.quantization import quantize
from speechxfer.export.onnx.with_decoder import write_decoder, write_source
from speechxfer.export.sherpa_onnx.moonshine import END, FILES, ROWS, passing_on, write_tokens
from speechxfer.model import SpeechModel


def write(model: SpeechModel, folder: Path, quantization: str, examples: Sequence[np.ndarray]) -> None:
    """Write the four graphs and the tokens."""
    head = decoder_of(model)
    layers, width, end = head.config.decoder_layers, head.config.d_model, head.tokens.end
    first, decoder = folder / FILES["preprocessor"], folder / FILES["cached_decoder"]
    write_source(model, first)
    write_decoder(model, decoder)
    quantize(first, quantization, [inputs_of(model.encoder, waveform) for waveform in examples])
    quantize(decoder, quantization)
    before = padding(block_of(model.encoder), least_blocks_of(model.encoder))
    onnx.save(joined(joined(before, onnx.load(first)), _packed(layers, width)), first)
    onnx.save(passing_on("float", layers * width * 2 // ROWS), folder / FILES["encoder"])
    onnx.save(_starting(layers, width, head.tokens.start, head.config.vocab_size), folder / FILES["uncached_decoder"])
    writing = joined(_given(layers, width, end, head.prompt()), onnx.load(decoder))
    onnx.save(joined(writing, _exchanged(layers, width, end, head.config.vocab_size)), decoder)
    words = token_bytes(head)
    write_tokens(folder, [*words[:END], b"</s>", *words[END + 1 :], words[END]])


def _packed(layers: int, width: int) -> onnx.ModelProto:
    """Keys and values of one utterance to `ROWS` rows for each of its frames."""
    each = f"float[{layers}, 1, all, {width}]"
    return graph(f"""
        packed ({each} keys, {each} values, int64[1] num_frames) => (float[1, rows, {layers * width * 2 // ROWS}] given)
        <int64[1] zero = {{0}}, int64[1] two = {{2}}, int64[3] shape = {{1, -1, {layers * width * 2 // ROWS}}}>
        {{
            both = Concat <axis = 0> (keys, values)
            cut = Slice (both, zero, num_frames, two)
            turned = Transpose <perm = [1, 2, 0, 3]> (cut)
            given = Reshape (turned, shape)
        }}
    """)


def _starting(layers: int, width: int, start: int, tokens: int) -> onnx.ModelProto:
    """The start of a transcript, which is written as nothing, and no keys and values yet.

    So the weights stand in one file only.
    """
    past = f"float[{layers}, 1, 0, {width}]"
    return graph(f"""
        starting (int32[1, 1] token, float[1, rows, {layers * width * 2 // ROWS}] rows, int32[1] turn)
        => (float[1, 1, {tokens}] logits, {past} new_keys, {past} new_values)
        <int64[1, 1] start = {{{start}}}, int64[1] tokens = {{{tokens}}}, float[2] values = {{0, 100}},
         int64[4] empty = {{{layers}, 1, 0, {width}}}>
        {{
            logits = OneHot <axis = -1> (start, tokens, values)
            new_keys = ConstantOfShape (empty)
            new_values = ConstantOfShape (empty)
        }}
    """)


def _given(layers: int, width: int, end: int, prompt: list[int]) -> onnx.ModelProto:
    """What the reader gives to what the decoder takes, which is its own prompt at first."""
    source, past = f"float[{layers}, 1, frames, {width}]", f"float[{layers}, 1, before, {width}]"
    size = len(prompt)
    return graph(f"""
        given (int32[1, 1] token, float[1, rows, {layers * width * 2 // ROWS}] rows, int32[1] turn, {past} kept_keys,
               {past} kept_values)
        => (int64[1, count] tokens, {past} past_keys, {past} past_values, {source} source_keys,
            {source} source_values)
        <int64 end = {{{end}}}, int64 theirs = {{{END}}}, int64[1, {size}] prompt = {{{", ".join(map(str, prompt))}}},
         int64[1] size = {{{size}}}, int64[1] none = {{0}}, int64[1] one = {{1}}, int64[1] half = {{{layers}}},
         int64[1] whole = {{{2 * layers}}}, int64[4] shape = {{1, -1, {2 * layers}, {width}}}>
        {{
            number = Cast <to = 7> (token)
            is_moved = Equal (number, end)
            moved = Where (is_moved, theirs, number)
            either = Concat <axis = 1> (prompt, moved)
            before = Shape <start = 2, end = 3> (kept_keys)
            is_first = Equal (before, none)
            first = Where (is_first, none, size)
            length = Where (is_first, size, one)
            stop = Add (first, length)
            tokens = Slice (either, first, stop, one)
            past_keys = Identity (kept_keys)
            past_values = Identity (kept_values)
            by_frame = Reshape (rows, shape)
            by_layer = Transpose <perm = [2, 0, 1, 3]> (by_frame)
            source_keys = Slice (by_layer, none, half, none)
            source_values = Slice (by_layer, half, whole, none)
        }}
    """)


def _exchanged(layers: int, width: int, end: int, tokens: int) -> onnx.ModelProto:
    """Scores in which the end is where the reader looks for it, and what was there is in its place."""
    past, order = f"float[{layers}, 1, after, {width}]", list(range(tokens))
    order[END], order[end] = end, END
    return graph(f"""
        exchanged (float[1, 1, {tokens}] scores, {past} keys, {past} values)
        => (float[1, 1, {tokens}] logits, {past} new_keys, {past} new_values)
        <int64[{tokens}] order = {{{", ".join(map(str, order))}}}>
        {{
            logits = Gather <axis = 2> (scores, order)
            new_keys = Identity (keys)
            new_values = Identity (values)
        }}
    """)
