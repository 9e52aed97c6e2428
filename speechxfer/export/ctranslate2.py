"""Whisper folders of CTranslate2, which faster-whisper opens; the conversion is that library's own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.errors import ExportError
from speechxfer.export import ExportTarget
from speechxfer.export.decoder import LANGUAGE, WANTED, decoder_of
from speechxfer.export.gate import Answer, Compute, Conversion
from speechxfer.model import SpeechModel

_SAMPLES = 30 * 16_000
_COPIED = ("tokenizer.json", "preprocessor_config.json")


def _write(_: SpeechModel, saved: Path, folder: Path, quantization: str, _examples: Sequence[np.ndarray]) -> None:
    from ctranslate2.converters import TransformersConverter

    try:
        converter = TransformersConverter(str(saved), copy_files=list(_COPIED))
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # noqa: PTH123
            converter.convert(str(folder), quantization=quantization, force=True)
    except (RuntimeError, ValueError) as error:
        raise ExportError(f"{saved}: CTranslate2 cannot convert it to {quantization} ({error})") from error


def _open(model: SpeechModel, folder: Path) -> Compute:
    """By faster-whisper, greedily and without its checks, which repeat or drop what looks wrong.

    It is given sound padded to 30 s, for it would pad the spectrogram with zeros, which are no silence.
    """
    from faster_whisper import WhisperModel

    opened = WhisperModel(str(folder), device="cpu", compute_type="default", cpu_threads=torch.get_num_threads())
    head = decoder_of(model)

    def compute(waveform: np.ndarray) -> Answer:
        whole = np.pad(waveform, (0, max(_SAMPLES - len(waveform), 0)))
        segments, _ = opened.transcribe(
            whole, language=head.language or LANGUAGE, task=head.task_token, beam_size=1, temperature=0.0,
            without_timestamps=True, suppress_tokens=head.unwanted(), compression_ratio_threshold=None,
            log_prob_threshold=None, no_speech_threshold=None, condition_on_previous_text=False,
        )  # fmt: skip
        return Answer(Hypothesis("".join(segment.text for segment in segments)))

    return compute


CTRANSLATE2 = ExportTarget(
    Conversion(_write, _open, packages=("ctranslate2", "faster_whisper"), quantizations=(), language=LANGUAGE),
    heads=("seq2seq",),
    families=("whisper",),
    wanted=WANTED,
)
