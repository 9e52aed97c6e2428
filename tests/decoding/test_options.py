from __future__ import annotations

from typing import Any

import pytest

from speechxfer.decoding.options import TEMPERATURES, DecodingOptions
from speechxfer.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"beams": 0}, "beams is 0; wanted at least 1 and at most 100"),
        ({"beams": True}, "beams is true; wanted a whole number"),
        ({"beams": "5"}, "beams is '5', which is text; wanted a whole number"),
        ({"prompt": ["a"]}, r"prompt is \['a'\]; wanted text"),
        ({"language": " "}, "language is ' '; wanted a code or an English name"),
        ({"task": "Translate"}, "task is 'Translate'; wanted one of transcribe, translate"),
        ({"temperature": -0.1}, "temperature is -0.1; wanted at least 0"),
        ({"temperature": float("nan")}, "temperature is nan; wanted at least 0"),
        ({"temperature": (0.0, "hot")}, "temperature is 'hot', which is text; wanted a number"),
        ({"temperature": ()}, r"temperature is \(\); wanted a number, or several"),
        ({"word_times": 1}, "word_times is 1; wanted true or false"),
    ],
)
def test_a_wrong_value_is_named_where_it_is_given(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=f"^{expected}"):
        DecodingOptions(**options)


def test_it_can_be_a_key() -> None:
    first = DecodingOptions(beams=2, temperature=[0, 0.5])  # type: ignore[arg-type]
    assert {first: "a"}[DecodingOptions(beams=2, temperature=(0.0, 0.5))] == "a"
    assert DecodingOptions(temperature=0).temperatures == (0.0,)
    with pytest.raises(AttributeError):
        first.beams = 3  # type: ignore[misc]


def test_what_is_left_out_is_the_default() -> None:
    defaults = DecodingOptions(1, "", None, "transcribe", TEMPERATURES)
    found = DecodingOptions(beams=5, language="it").over(defaults)
    assert found == DecodingOptions(5, "", "it", "transcribe", TEMPERATURES)
    assert found.only({"beams", "task"}) == DecodingOptions(beams=5, task="transcribe")
    assert found.only({"beams"}).given() == {"beams": 5}
