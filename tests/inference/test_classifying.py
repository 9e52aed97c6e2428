from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from speechxfer.audio import SAMPLE_RATE, Waveform
from speechxfer.decoding.hypothesis import Classification
from speechxfer.errors import AudioError
from speechxfer.inference.classifying import classify


def sound(seconds: float, level: float = 0.1) -> Waveform:
    """A square wave of 8 kHz."""
    wave = np.full(round(seconds * SAMPLE_RATE), level, np.float32)
    wave[::2] *= -1
    return wave


def loud(waveforms: Sequence[Waveform]) -> list[Classification]:
    """ "loud" to the degree of the mean amplitude."""
    shares = [float(np.abs(waveform).mean()) for waveform in waveforms]
    return [Classification(("loud", "quiet"), (share, 1.0 - share)) for share in shares]


def test_what_fits_is_classified_as_it_is() -> None:
    waveform = sound(3, 0.2)
    assert classify([waveform], loud).probabilities == pytest.approx(loud([waveform])[0].probabilities)


def test_pieces_weigh_by_their_lengths_and_blocks_do_not_matter() -> None:
    whole = np.concatenate([sound(9, 0.9), sound(3, 0.1)])
    found = classify([whole], loud, max_segment_s=5)
    assert found.probabilities == pytest.approx(((9 * 0.9 + 3 * 0.1) / 12, 1 - (9 * 0.9 + 3 * 0.1) / 12), abs=1e-5)
    assert classify(np.array_split(whole, 50), loud, max_segment_s=5).probabilities == pytest.approx(
        found.probabilities
    )


def test_long_silence_counts_nothing() -> None:
    found = classify([sound(4, 0.8), np.zeros(40 * SAMPLE_RATE, np.float32)], loud, max_segment_s=5)
    assert found.probabilities[0] == pytest.approx(0.8, abs=0.06)  # a quarter of a second of it stays


def test_the_memory_it_takes_is_that_of_a_batch() -> None:
    sizes: list[float] = []

    def tell(waveforms: Sequence[Waveform]) -> list[Classification]:
        sizes.append(sum(map(len, waveforms)) / SAMPLE_RATE)
        return loud(waveforms)

    done: list[float] = []
    classify((sound(10) for _ in range(30)), tell, max_segment_s=10, batch_s=40, progress=done.append)
    assert len(sizes) > 5
    assert max(sizes) <= 40
    assert done[-1] == pytest.approx(300, abs=0.1)


@pytest.mark.parametrize("blocks", [[], *([np.zeros(size, np.float32)] for size in (1, 1000, 20 * SAMPLE_RATE))])
def test_silence_of_any_length_has_no_class(blocks: list[Waveform]) -> None:
    with pytest.raises(AudioError, match=r"calls/a\.wav: is silent, below -84 dB"):
        classify(blocks, loud, max_segment_s=5, source="calls/a.wav")
