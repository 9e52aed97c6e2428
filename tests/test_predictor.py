"""What all models share, with one that counts samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest

from speechxfer.decoding.hypothesis import Hypothesis, Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import ConfigError
from speechxfer.heads.reader import HeadTraits
from speechxfer.predictor import Predictor
from tests.inference.synthetic_speech import speech

RATE = 16_000


class Traits(HeadTraits):
    kind = "counting"


class Counting(Predictor):
    """Its text is the number of samples."""

    def __init__(self, task: Literal["transcription", "classification"] = "transcription") -> None:
        self._traits = Traits()
        self._traits.task = task

    @property
    def traits(self) -> HeadTraits:
        return self._traits

    @property
    def max_duration_s(self) -> float | None:
        return None

    def computed_s(self, duration_s: float) -> float:
        return duration_s

    def _predict(self, waveforms: Sequence[np.ndarray], options: DecodingOptions) -> Sequence[Prediction]:
        return [Hypothesis(str(len(one))) for one in waveforms]


def test_a_stream_ends_with_the_text_of_the_recording() -> None:
    samples = speech(2.0)
    chunks = (samples[at : at + 1000] for at in range(0, len(samples), 1000))
    *partial, last = Counting().stream(chunks, sample_rate=RATE, vad="energy")
    assert partial
    assert not any(result.final for result in partial)
    assert (last.final, last.text) == (True, Counting().transcribe(samples, sample_rate=RATE, vad="energy").text)


def test_errors_come_before_the_first_chunk() -> None:
    with pytest.raises(ConfigError, match="classifier and writes no text"):
        Counting("classification").stream([], sample_rate=RATE)
    with pytest.raises(ConfigError, match="vad is 'loud'"):
        Counting().open_stream(RATE, vad="loud")
    with pytest.raises(ConfigError, match="beams"):
        Counting().open_stream(RATE, options=DecodingOptions(beams=3))


def test_recordings_that_are_read_in_threads_are_transcribed_as_without() -> None:
    recordings = [speech(seconds) for seconds in (1.0, 2.0, 0.5)]
    arguments = {"sample_rate": RATE, "vad": "energy"}
    alone = [one.text for one in Counting().transcribe_many(recordings, **arguments)]
    assert [one.text for one in Counting().transcribe_many(recordings, workers=2, **arguments)] == alone
    assert [Counting().transcribe(one, workers=1, **arguments).text for one in recordings] == alone  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="workers is -1; wanted at least 0"):
        Counting().transcribe_many(recordings, workers=-1, **arguments)


@pytest.mark.parametrize("audio", [np.zeros(RATE, np.float32), "speech.wav"])
def test_an_argument_that_is_not_known_is_reported(audio: np.ndarray | str) -> None:
    with pytest.raises(ConfigError, match=r"beams is no option of reading audio; wanted .*options=DecodingOptions"):
        Counting().transcribe(audio, sample_rate=None if isinstance(audio, str) else RATE, beams=1)  # type: ignore[call-arg]
