"""Whisper folders of CTranslate2, which faster-whisper opens; the conversion is that library's own."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from speechxfer.data.manifest import Manifest
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ExportError
from speechxfer.export import ExportTarget
from speechxfer.export.parity import Parity, chosen, waveforms
from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead
from speechxfer.families.whisper.encoder import WhisperEncoder
from speechxfer.opening import open_checkpoint
from speechxfer.storage import replacing_folder

_COPIED = ("tokenizer.json", "preprocessor_config.json")
#: Hidden states of float32 differ by rounding; those of fewer bits by what that costs, of which the text tells more.
_MOST_DIFFERENT = {"float32": 1e-3}
_LEAST_ALIKE = 0.75


def export_whisper(folder: Path, output: Path, quantization: str, dev: Manifest | None = None) -> Parity:
    """Convert a saved model's folder and compare; `output` is only written when the two agree.

    Raises:
        ExportError: they do not, or CTranslate2 is not installed or cannot do it.
        StorageError: it could not be written.
    """
    try:
        import ctranslate2
        from ctranslate2.converters import TransformersConverter
    except ImportError:
        raise ExportError("CTranslate2 is not installed; python -m pip install 'speechxfer[export]'") from None
    with replacing_folder(output) as temporary:
        try:
            converter = TransformersConverter(str(folder), copy_files=list(_COPIED))
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # noqa: PTH123
                converter.convert(str(temporary), quantization=quantization, force=True)
            converted = ctranslate2.models.Whisper(str(temporary), device="cpu", compute_type=quantization)
        except (RuntimeError, ValueError) as error:
            raise ExportError(f"{folder}: CTranslate2 cannot convert it to {quantization} ({error})") from error
        parity = _compare(folder, converted, ctranslate2, waveforms(dev and chosen(dev)))
        most = _MOST_DIFFERENT.get(quantization, np.inf)
        if parity.difference > most or parity.same_text < _LEAST_ALIKE * parity.sounds:
            raise ExportError(f"{folder}: the exported model does not agree ({parity}); nothing was written")
    return parity


@torch.inference_mode()
def _compare(folder: Path, converted: Any, library: Any, given: list[np.ndarray]) -> Parity:
    """Both on audio padded to 30 s, which is all that the other one knows, greedily."""
    opened = open_checkpoint(find(str(folder)), pad_to_30s=True)
    encoder, head = cast(WhisperEncoder, opened.encoder.eval()), cast(WhisperSeq2SeqHead, opened.head)
    head.eval().attend_everything = True
    head.language = head.language or "en"  # where none is set, each would find out its own
    worst, same = 0.0, 0
    for waveform in given:
        samples, num_samples = encoder.collate([waveform])
        features = library.StorageView.from_array(encoder.features(samples, num_samples).numpy())
        states, num_frames = encoder(samples, num_samples)
        theirs = np.array(converted.encode(features))
        worst = max(worst, float(np.abs(theirs - states.numpy()).max() / np.abs(states.numpy()).max()))
        written = converted.generate(
            features, [head.prompt()], beam_size=1, suppress_tokens=head.unwanted(), max_length=head.max_positions
        )[0]
        ours, also = list(head.first_try(states, num_frames)[0].tokens), list(written.sequences_ids[0])
        # Each stops what never ends in its own time.
        shorter = min(len(ours), len(also), head.max_positions // 2 - len(head.prompt()))
        same += ours[:shorter] == also[:shorter] and bool(ours) == bool(also)
    return Parity(len(given), same, worst)


CTRANSLATE2 = ExportTarget(
    export_whisper,
    heads=("seq2seq",),
    families=("whisper",),
    wanted="Whisper with its own decoder; wanted a model from finetune --head seq2seq",
)
