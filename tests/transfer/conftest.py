"""Tiny models of every family and head, and what is written of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from speechxfer.data.labels import ClassLabels
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.encoders import load_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.heads.base import Head
from speechxfer.heads.classification.head import ClassificationHead
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.model import SpeechModel
from tests.encoders.conftest import saved
from tests.training.conftest import runs

__all__ = ["runs", "saved"]

FAMILIES = ["whisper", "wav2vec2", "wav2vec2-stable", "hubert", "wavlm", "data2vec-audio"]
LABELS = ClassLabels(["no", "perhaps", "yes"])

Encoders = Callable[[str], Encoder]


def ctc_head(encoder: Encoder) -> CTCHead:
    vocabulary, normalizer = Characters("abc"), TextNormalizer("basic")
    return CTCHead(encoder.width, encoder.output_frame_rate, vocabulary, normalizer, states=encoder.num_states)


def class_head(encoder: Encoder) -> ClassificationHead:
    return ClassificationHead(
        encoder.width, LABELS, projection=8, pool_padding=encoder.fixed_length, states=encoder.num_states
    )


def model_of(encoder: Encoder, head: Head) -> SpeechModel:
    return SpeechModel(encoder, head, "tiny").eval()


def output(model: SpeechModel, waveform: torch.Tensor) -> torch.Tensor:
    """What the head makes of a waveform [samples]."""
    with torch.inference_mode():
        hidden, frames = model.encoder(waveform[None], torch.tensor([len(waveform)]))
        return model.head(hidden) if isinstance(model.head, CTCHead) else model.head(hidden, frames)


@pytest.fixture
def encoders(saved: Callable[[str], Path], whisper_folder: Path) -> Encoders:
    """Opens the pre-trained encoder of a variant."""

    def open_one(variant: str) -> Encoder:
        folder = whisper_folder if variant == "whisper" else saved(variant)
        return load_encoder(variant, *find(str(folder)).read()).eval()

    return open_one
