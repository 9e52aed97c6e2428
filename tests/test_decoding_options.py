"""Options of decoding as they are given to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import speechxfer as sx
from speechxfer.errors import ConfigError
from tests.conftest import tone

SILENCE = [0.0] * 16_000


@pytest.fixture(scope="module")
def model(spelling_whisper: Path) -> sx.SpeechModel:
    return sx.load(str(spelling_whisper), device="cpu")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"options": {"beams": 2}}, r"options is \{'beams': 2\}; wanted DecodingOptions\(\.\.\.\)"),
        (
            {"options": sx.DecodingOptions(language="en"), "language": "de"},
            "language is 'de', and in options 'en'",
        ),
        ({"language": "it"}, "language 'it': this Whisper knows English only; leave it out"),
    ],
)
def test_wrong_options_are_an_error_before_any_work(
    model: sx.SpeechModel, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{expected}"):
        model.transcribe(SILENCE, sample_rate=16_000, **options)


def test_language_is_short_for_the_option(model: sx.SpeechModel) -> None:
    sound = tone("ab ca")
    short = model.transcribe(sound, sample_rate=16_000, language="en")
    assert short == model.transcribe(sound, sample_rate=16_000, options=sx.DecodingOptions(language="English"))


def test_options_of_one_call_do_not_reach_the_next(model: sx.SpeechModel) -> None:
    sound = tone("ab ca")
    first = model.recognize([sound])
    other = model.recognize([sound], sx.DecodingOptions(beams=4, prompt="ab", temperature=1.0))
    assert other != first
    assert model.recognize([sound]) == first
