"""A trained model and its export on the same recordings: predictions, error rates and speed."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import numpy as np
import torch

from speechxfer.data.manifest import Manifest
from speechxfer.decoding.hypothesis import Hypothesis, Prediction
from speechxfer.export.parity import Parity, error_of, waveforms
from speechxfer.heads.reader import Reader
from speechxfer.model import SpeechModel
from speechxfer.runtime.model import ExportedModel

#: From one waveform to the head's outputs, and how many hidden states there were.
_Compute = Callable[[np.ndarray], tuple[np.ndarray, int]]
#: The fraction of texts that are equal at least, in float32; and with fewer bits, where there is no error rate.
_LEAST_EQUAL, _LEAST_ALIKE = 0.995, 0.75
#: Most that an error rate may move with fewer bits, but one word or class may always be another.
_MOST_MOVED = 0.003


def compare(model: SpeechModel, exported: ExportedModel, dev: Manifest | None) -> Parity:
    """Compute one waveform after the other with both, which take turns.

    Args:
        model: the original, on the CPU.
        exported: the export.
        dev: utterances with their texts or labels; without them, a few sounds.
    """
    assert model.head.reader is not None
    ours = _Side(functools.partial(_by_torch, model), model.head.reader)
    theirs = _Side(functools.partial(_by_runtime, exported), exported.traits)
    given, worst = waveforms(dev), 0.0
    for side in (ours, theirs):  # the first time takes longer
        side.compute(given[0])
    for waveform in given:
        one, other = ours.answer(waveform), theirs.answer(waveform)
        worst = max(worst, float(np.abs(one - other).max(initial=0.0) / np.abs(one).max(initial=1e-9)))
    pairs = zip(ours.predictions, theirs.predictions, strict=True)
    same = sum(_text(one) == _text(other) for one, other in pairs)
    error = None
    if dev is not None:
        (name, before, count), (_, after, _) = (error_of(dev, side.predictions) for side in (ours, theirs))
        error = (name, before, after, count)
    return Parity(len(given), same, worst, error, speed=ours.seconds / theirs.seconds)


def agrees(parity: Parity, quantization: str) -> bool:
    """Whether an export is good enough to be written."""
    if quantization == "float32":
        return parity.same_text >= _LEAST_EQUAL * parity.sounds
    if parity.error is None:
        return parity.same_text >= _LEAST_ALIKE * parity.sounds
    _, before, after, count = parity.error
    return abs(after - before) <= max(_MOST_MOVED, 1.001 / count)


class _Side:
    """One of the two: its predictions and the seconds that it computed."""

    def __init__(self, compute: _Compute, reader: Reader) -> None:
        self.compute, self._reader = compute, reader
        self.predictions: list[Prediction] = []
        self.seconds = 0.0

    def answer(self, waveform: np.ndarray) -> np.ndarray:
        """The outputs of a waveform; its prediction is kept."""
        start = time.perf_counter()
        outputs, num_frames = self.compute(waveform)
        self.seconds += time.perf_counter() - start
        self.predictions += self._reader.read(outputs, [num_frames], self._reader.decoding_defaults)
        row: np.ndarray = outputs[0]
        return row[:num_frames] if row.ndim > 1 else row


@torch.inference_mode()
def _by_torch(model: SpeechModel, waveform: np.ndarray) -> tuple[np.ndarray, int]:
    hidden_states, num_frames = model.encoder(*model.encoder.collate([waveform]))
    return model.head.outputs(hidden_states, num_frames).numpy(), int(num_frames[0])


def _by_runtime(model: ExportedModel, waveform: np.ndarray) -> tuple[np.ndarray, int]:
    outputs, num_frames = model.outputs([waveform])
    return outputs, int(num_frames[0])


def _text(prediction: Prediction) -> str:
    return prediction.text if isinstance(prediction, Hypothesis) else prediction.label
