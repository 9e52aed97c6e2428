"""The telephone that is dialed by voice."""

import io
from types import SimpleNamespace

import numpy as np

from recipes.voice_commands.app import chunks, commands, dial
from speechxfer.inference.streaming import StreamResult


def test_samples_of_a_pipe():
    samples = np.arange(-2000, 2001, dtype="<i2")
    found = list(chunks(io.BytesIO(samples.tobytes() + b"\1")))
    assert np.array_equal(np.concatenate(found), samples)
    assert len(found[0]) == 1600


def test_commands_that_are_final_and_certain():
    def stream(sound, *, sample_rate, partials):
        assert sample_rate == 16_000
        yield StreamResult("on", 0.0, 0.3, False, (), 0.9)
        yield StreamResult("one", 0.0, 0.4, True, (), 0.9)
        yield StreamResult("two", 2.0, 2.4, True, (), 0.2)
        yield StreamResult("six", 4.0, 4.4, True, (), 0.6)

    assert list(commands(SimpleNamespace(stream=stream), [], least=0.5)) == ["one", "six"]


def test_a_number_is_called_when_it_is_complete():
    called = []
    dial(["one", "two", "hello", "three", "four", "fife", "sixs"], called.append, length=3)
    assert called == ["123", "456"]
