"""A Whisper with its own decoder, as onnx-asr reads it."""

from __future__ import annotations

from pathlib import Path

import onnx

from speechxfer.export.decoder import decoder_of
from speechxfer.export.onnx.pieces import graph, joined, renamed
from speechxfer.export.onnx.quantization import quantize
from speechxfer.export.onnx.with_decoder import write_decoder, write_source_of_spectrogram
from speechxfer.model import SpeechModel
from speechxfer.storage import write_json

#: Names of inputs and outputs that ONNX's text format cannot write.
_NAMES = {
    f"{ours}_{kind}": f"{ours}.{kind}" for ours in ("past_key_values", "present") for kind in ("keys", "values")
}  # fmt: skip


def write(model: SpeechModel, folder: Path, quantization: str) -> None:
    """Write the two graphs, their settings and the tokens."""
    head = decoder_of(model)
    size, bins = (head.config.decoder_layers, head.config.d_model), head.config.num_mel_bins
    encoder, decoder = folder / "encoder_model.onnx", folder / "decoder_model_merged.onnx"
    write_source_of_spectrogram(model, encoder)
    write_decoder(model, decoder)
    for path in (encoder, decoder):
        quantize(path, quantization)
    seeing = joined(_named(bins, 2 * head.config.max_source_positions), onnx.load(encoder))
    onnx.save(joined(seeing, _packed(*size)), encoder)
    writing = joined(_given(*size, is_multilingual=head.tokens.is_multilingual), onnx.load(decoder))
    onnx.save(renamed(joined(writing, _kept(*size, head.config.vocab_size)), _NAMES), decoder)
    vocabulary, end = head.tokens.tokenizer.get_vocab(), head.tokens.end
    write_json(folder / "config.json", {"model_type": "whisper", "num_mel_bins": bins})
    write_json(folder / "vocab.json", {name: number for name, number in vocabulary.items() if number < end})
    write_json(folder / "added_tokens.json", {name: number for name, number in vocabulary.items() if number >= end})


def _named(bins: int, steps: int) -> onnx.ModelProto:
    """The spectrogram as the reader calls it."""
    kind = f"float[batch, {bins}, {steps}]"
    return graph(f"named ({kind} input_features) => ({kind} features) {{ features = Identity (input_features) }}")


def _packed(layers: int, width: int) -> onnx.ModelProto:
    """Keys and values of all layers as what the reader takes for hidden states."""
    each = f"float[{layers}, batch, frames, {width}]"
    return graph(f"""
        packed ({each} keys, {each} values, int64[batch] num_frames)
        => (float[batch, {2 * layers}, frames, {width}] last_hidden_state)
        {{
            both = Concat <axis = 0> (keys, values)
            last_hidden_state = Transpose <perm = [1, 0, 2, 3]> (both)
        }}
    """)


def _given(layers: int, width: int, *, is_multilingual: bool) -> onnx.ModelProto:
    """What the reader gives to what the decoder takes.

    At first it gives keys and values of no utterance. To an English Whisper it gives a language and a task, which are
    left out.
    """
    past, source = f"float[{layers}, batch, before, {width}]", f"float[{layers}, batch, frames, {width}]"
    kept = f"float[kept, {layers}, before, {width}]"
    first = -9999 if is_multilingual else -1  # of the others
    return graph(f"""
        given (int64[batch, read] input_ids, float[batch, {2 * layers}, frames, {width}] encoder_hidden_states,
               bool[1] use_cache_branch, {kept} past_key_values_keys, {kept} past_key_values_values)
        => (int64[batch, count] tokens, {past} past_keys, {past} past_values, {source} source_keys,
            {source} source_values)
        <int64[1] none = {{0}}, int64[1] one = {{1}}, int64[1] first = {{{first}}}, int64[1] many = {{9999}},
         int64[1] layers = {{{layers}}}, int64[1] whole = {{{2 * layers}}}, int64[1] width = {{{width}}}>
        {{
            start = Slice (input_ids, none, one, one)
            others = Slice (input_ids, one, many, one)
            taken = Slice (others, first, many, one)
            tokens = Concat <axis = 1> (start, taken)
            batch = Shape <end = 1> (input_ids)
            before = Shape <start = 2, end = 3> (past_key_values_keys)
            shape = Concat <axis = 0> (layers, batch, before, width)
            turned_keys = Transpose <perm = [1, 0, 2, 3]> (past_key_values_keys)
            turned_values = Transpose <perm = [1, 0, 2, 3]> (past_key_values_values)
            past_keys = Reshape <allowzero = 1> (turned_keys, shape)
            past_values = Reshape <allowzero = 1> (turned_values, shape)
            by_layer = Transpose <perm = [1, 0, 2, 3]> (encoder_hidden_states)
            source_keys = Slice (by_layer, none, layers, none)
            source_values = Slice (by_layer, layers, whole, none)
        }}
    """)


def _kept(layers: int, width: int, tokens: int) -> onnx.ModelProto:
    """The other way, beside the scores."""
    each, kept = f"float[{layers}, batch, after, {width}]", f"float[batch, {layers}, after, {width}]"
    return graph(f"""
        kept (float[batch, 1, {tokens}] scores, {each} keys, {each} values)
        => (float[batch, 1, {tokens}] logits, {kept} present_keys, {kept} present_values)
        {{
            logits = Identity (scores)
            present_keys = Transpose <perm = [1, 0, 2, 3]> (keys)
            present_values = Transpose <perm = [1, 0, 2, 3]> (values)
        }}
    """)
