"""Folders that `transformers` opens by itself: a saved model's own files, without what only this package reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from speechxfer.decoding.hypothesis import Classification, Hypothesis
from speechxfer.errors import ConfigError
from speechxfer.export import ExportTarget
from speechxfer.export.gate import Answer, Compute, Conversion
from speechxfer.hf_format import folder_of
from speechxfer.model import SpeechModel
from speechxfer.storage import write_json, write_tensors

_WEIGHTS = "model.safetensors"


def _write(model: SpeechModel, saved: Path, folder: Path, quantization: str, _examples: Sequence[np.ndarray]) -> None:
    """With 16 bits, all weights are stored and computed in them."""
    theirs = folder_of(model.encoder, model.head)
    if theirs is None:
        raise ConfigError(f"{saved}: transformers has no class for a {model.encoder.family} encoder with such a {model.head.kind} head; take --to onnx")  # fmt: skip  # noqa: E501
    precision = getattr(torch, quantization)
    write_tensors(folder / _WEIGHTS, {name: value.to(precision) for name, value in load_file(saved / _WEIGHTS).items()})
    for name, content in {**model.head.files(), **theirs.files}.items():
        write_json(folder / name, content | {"dtype": quantization} if name == "config.json" else content)


def _open(model: SpeechModel, folder: Path) -> Compute:
    """By a pipeline; a decoder's has five beams by default, and one here."""
    from transformers import pipeline

    classifies = model.traits.task == "classification"
    task = "audio-classification" if classifies else "automatic-speech-recognition"
    greedy = {"generate_kwargs": {"num_beams": 1}} if model.head.reader is None else {}
    with _quiet():
        run = pipeline(task, str(folder), device="cpu")

    def compute(waveform: np.ndarray) -> Answer:
        with _quiet():
            found = run({"raw": waveform, "sampling_rate": model.encoder.sample_rate}, **greedy)
        if not classifies:
            return Answer(Hypothesis(found["text"]))
        names, probabilities = zip(*((one["label"], one["score"]) for one in found), strict=True)
        return Answer(Classification(names, probabilities, bool(model.head.describe().get("multi_label"))))

    return compute


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's advice."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


TRANSFORMERS = ExportTarget(
    Conversion(_write, _open, packages=("transformers",), quantizations=("float32", "float16")),
    heads=("ctc", "classification", "seq2seq"),
    wanted="models that it has a class for",
)
