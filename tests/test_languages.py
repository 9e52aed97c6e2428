from __future__ import annotations

import pytest
from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

from speechxfer.languages import language_code, language_tag, similar_language, tags_of


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


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("it", ["ita"]), ("Italian", ["ita"]), ("ITA", ["ita"]), ("zh", ["cmn-script_simplified"]),
        ("az", ["azj-script_latin", "azj-script_cyrillic"]), ("azj-script_latin", ["azj-script_latin"]),
        ("xog", ["xog"]), ("Malay", ["zlm"]), ("Klingon", []), ("", []),
    ],
)  # fmt: skip
def test_the_tags_of_a_language(name: str, tags: list[str]) -> None:
    known = ["eng", "ita", "azj-script_latin", "azj-script_cyrillic", "cmn-script_simplified", "xog", "zlm"]
    assert tags_of(name, known) == tags


def test_the_tag_of_a_script_or_dialect_is_more_than_its_language() -> None:
    assert [language_tag(name) for name in ("Italian", "it-IT", "Klingon")] == ["it", "it", "Klingon"]
    assert language_tag("azj-script_latin") == "azj-script_latin"
    assert language_code("azj-script_latin") == "az"


def test_a_name_that_is_spelled_like_one_is_found() -> None:
    assert (similar_language("Itlian"), similar_language("xx")) == ("Italian", None)
