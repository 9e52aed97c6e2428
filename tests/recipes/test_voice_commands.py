"""The telephone that is dialed by voice."""

import io
from types import SimpleNamespace

import numpy as np

from recipes.voice_commands.app import chunks, dial, words
from speechxfer.decoding.hypothesis import Word
from speechxfer.inference.streaming import StreamResult


def test_samples_of_a_pipe():
    samples = np.arange(-2000, 2001, dtype="<i2")
    found = list(chunks(io.BytesIO(samples.tobytes() + b"\1")))
    assert np.array_equal(np.concatenate(found), samples)
    assert len(found[0]) == 1600


def test_words_that_are_final_and_certain():
    def stream(sound, *, sample_rate):
        assert sample_rate == 16_000
        spoken = (Word("one", 0.0, 0.3, 0.9), Word("two", 0.4, 0.6, 0.2), Word("six", 0.7, 0.9, 0.6))
        yield StreamResult("one", 0.0, 0.3, False, spoken[:1])
        yield StreamResult("one two six", 0.0, 0.9, True, spoken)

    assert list(words(SimpleNamespace(stream=stream), [], least=0.5)) == ["one", "six"]


def test_a_number_is_called_when_it_is_complete():
    called = []
    dial(["one", "two", "er", "three", "four", "five", "six"], called.append, length=3)
    assert called == ["123", "456"]
