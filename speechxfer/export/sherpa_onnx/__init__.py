"""Folders that sherpa-onnx opens, which runs on phones and small computers too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.export import ExportTarget
from speechxfer.export.gate import Answer, Compute, Conversion
from speechxfer.model import SpeechModel


def _write(model: SpeechModel, _: Path, folder: Path, quantization: str, examples: Sequence[np.ndarray]) -> None:
    from speechxfer.export.sherpa_onnx import ctc, decoder

    (decoder if model.head.reader is None else ctc).write(model, folder, quantization, examples)


def _open(model: SpeechModel, folder: Path) -> Compute:
    recognizer = _recognizer(folder)

    def compute(waveform: np.ndarray) -> Answer:
        stream = recognizer.create_stream()
        stream.accept_waveform(model.encoder.sample_rate, waveform)
        recognizer.decode_stream(stream)
        return Answer(Hypothesis(stream.result.text))

    return compute


def _recognizer(folder: Path) -> Any:
    """The library's own."""
    from sherpa_onnx import OfflineRecognizer

    from speechxfer.export.sherpa_onnx.moonshine import FILES

    files = {name: str(folder / file) for name, file in FILES.items()}
    return OfflineRecognizer.from_moonshine(**files, num_threads=torch.get_num_threads())


SHERPA_ONNX = ExportTarget(
    Conversion(_write, _open, packages=("onnx", "onnxscript", "onnxruntime", "sherpa_onnx")),
    heads=("ctc", "seq2seq"),
    decoders=("whisper",),
    wanted="CTC heads, and Whisper with its own decoder; wanted a model from finetune --head ctc",
)
