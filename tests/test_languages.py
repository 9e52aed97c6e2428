from __future__ import annotations

import pytest
from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

from speechxfer.languages import language_code, similar_language


@pytest.mark.parametrize(
    "name",
    ["it", "IT", " it ", "Italian", "ITALIAN", "it-IT", "it_it", "it-CH", "ita", "<|it|>", "Italian (Switzerland)"],
)
def test_a_language_has_one_code_whatever_it_is_called(name: str) -> None:
    assert language_code(name) == "it"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("zh-CN", "zh"),
        ("cmn_hans_cn", "zh"),
        ("Mandarin", "zh"),
        ("pt-BR", "pt"),
        ("Haitian Creole", "ht"),
        ("Lao", "lo"),
        ("nb-NO", "no"),
        ("Norwegian Nynorsk", "nn"),
        ("jv", "jw"),
        ("fil", "tl"),
        ("iw", "he"),
        ("yue", "yue"),
        ("Bokmål", "no"),
        ("xx", None),
        ("Klingon", None),
        ("", None),
        ("auto", None),
        ("english please", None),
        ("-", None),
    ],
)
def test_codes_and_names(name: str, code: str | None) -> None:
    assert language_code(name) == code


def test_every_code_and_name_that_whisper_has_is_known() -> None:
    assert {code: language_code(code) for code in LANGUAGES} == {code: code for code in LANGUAGES}
    assert {name: language_code(name) for name in TO_LANGUAGE_CODE} == TO_LANGUAGE_CODE


def test_a_name_that_is_spelled_like_one_is_found() -> None:
    assert (similar_language("Itlian"), similar_language("xx")) == ("Italian", None)
