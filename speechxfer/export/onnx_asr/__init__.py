"""Folders that onnx-asr opens: a Whisper with its own decoder. Its front end is Whisper's, of 30 s."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.errors import ConfigError
from speechxfer.export import ExportTarget
from speechxfer.export.decoder import LANGUAGE, WANTED, decoder_of
from speechxfer.export.gate import Answer, Compute, Conversion
from speechxfer.model import SpeechModel


def _write(model: SpeechModel, _: Path, folder: Path, quantization: str, _examples: Sequence[np.ndarray]) -> None:
    from speechxfer.export.onnx_asr.decoder import write

    if not model.encoder.fixed_length:
        raise ConfigError("the model reads utterances at their own length (pad_to_30s is false), but onnx-asr pads them to 30 s; take --to sherpa-onnx")  # fmt: skip  # noqa: E501
    write(model, folder, quantization)


def _open(model: SpeechModel, folder: Path) -> Compute:
    from onnx_asr import load_model
    from onnxruntime import SessionOptions
    from torch import get_num_threads

    options, head = SessionOptions(), decoder_of(model)
    options.intra_op_num_threads = get_num_threads()
    opened = load_model("whisper", folder, sess_options=options, providers=["CPUExecutionProvider"])

    def compute(waveform: np.ndarray) -> Answer:
        return Answer(Hypothesis(opened.recognize(waveform, language=head.language or LANGUAGE)))

    return compute


ONNX_ASR = ExportTarget(
    Conversion(_write, _open, packages=("onnx", "onnxscript", "onnxruntime", "onnx_asr"), language=LANGUAGE),
    heads=("seq2seq",),
    families=("whisper",),
    wanted=WANTED,
)
