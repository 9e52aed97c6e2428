from __future__ import annotations

import numpy as np
import pytest

from speechxfer.decoding.hypothesis import Word
from speechxfer.inference.word_pauses import without_pauses


def recording(noise: float) -> np.ndarray:
    """Sound from 0.5 s to 1.0 s and from 1.5 s to 1.7 s of two seconds."""
    draw = np.random.default_rng(0)
    found = noise * draw.standard_normal(32_000)
    for start, end in ((8000, 16_000), (24_000, 27_200)):
        found[start:end] += 0.1 * draw.standard_normal(end - start)
    return found.astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 0.0001, 0.005])
def test_words_begin_and_end_with_sound(noise: float) -> None:
    words = (Word("a", 0.0, 0.8, 0.5), Word("b", 0.8, 1.4), Word("c", 1.4, 2.0))
    found = without_pauses(words, recording(noise))
    times = [time for word in found for time in (word.start, word.end)]
    assert times == pytest.approx([0.5, 0.8, 0.8, 1.0, 1.5, 1.7], abs=0.021)
    assert [(word.text, word.confidence) for word in found] == [("a", 0.5), ("b", None), ("c", None)]


def test_a_word_without_sound_stays() -> None:
    words = (Word("a", 1.1, 1.4), Word("b", 1.6, 1.6004))
    assert without_pauses(words, recording(0.0001)) == words
    assert without_pauses(words, np.zeros(40, dtype=np.float32)) == words


def test_noise_throughout_is_no_pause() -> None:
    words = (Word("a", 0.0, 1.0), Word("b", 1.0, 2.0))
    steady = np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    assert without_pauses(words, steady) == words
