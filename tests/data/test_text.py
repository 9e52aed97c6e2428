from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.data.text import CTCVocabulary, TextNormalizer, frames_needed
from speechxfer.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("Premi 1, poi «cancelletto».", "premi 1 poi cancelletto"),
        ("L\u2019operatore è già occupato!", "l'operatore è già occupato"),
        ("'Quoted' rock 'n' roll", "quoted rock n roll"),
        ("co-operate  \t now…", "co operate now"),
        ("E\u0300 vero", "è vero"),
        ("हिन्दी", "हिन्दी"),
        ("", ""),
    ],
)
def test_basic(written: str, normal: str) -> None:
    assert TextNormalizer("basic")(written) == normal


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    for name in ("basic", "none"):
        normalizer = TextNormalizer(name)
        assert normalizer(normalizer(text)) == normalizer(text)


def test_an_unknown_normaliser_is_told() -> None:
    with pytest.raises(
        ConfigError,
        match="'basics' is not known; wanted one of: basic, basic-upper, none, whisper-basic, whisper-english",
    ):
        TextNormalizer("basics")


@given(st.text(alphabet="abc 'è", min_size=1))
def test_the_vocabulary_spells_what_it_was_built_from(text: str) -> None:
    vocabulary = CTCVocabulary.from_texts([text])
    numbers = vocabulary.encode(text)
    assert vocabulary.decode(numbers) == text
    assert CTCVocabulary.BLANK not in numbers
    assert max(numbers) < len(vocabulary)
    assert CTCVocabulary(vocabulary.to_dict()["symbols"]).encode(text) == numbers


def test_unknown_characters_are_counted_and_left_out() -> None:
    vocabulary = CTCVocabulary.from_texts(["abc"])
    assert vocabulary.unknown("axbxy") == {"x": 2, "y": 1}
    assert vocabulary.decode(vocabulary.encode("axbxy")) == "ab"


def test_texts_without_characters_make_no_vocabulary() -> None:
    with pytest.raises(DataError, match="no characters"):
        CTCVocabulary.from_texts(["", ""])


def test_repeats_need_a_blank_between_them() -> None:
    assert frames_needed([]) == 0
    assert frames_needed([1, 2, 3]) == 3
    assert frames_needed([1, 2, 2, 2]) == 6


@pytest.mark.parametrize(
    ("name", "text", "written"),
    [
        ("basic-upper", "L'été, it's here", "L'ÉTÉ IT'S HERE"),
        (
            "whisper-english",
            "It's the colour of Mr. Smith's TWENTY ONE cars.",
            "it is the color of mister smith is 21 cars",
        ),
        ("whisper-basic", "Ça va? [rires] 10 €", "ça va 10"),
    ],
)
def test_other_normalisers(name: str, text: str, written: str) -> None:
    assert TextNormalizer(name)(text) == written
    assert TextNormalizer(name)("") == ""


def test_whispers_normalisers_are_those_of_transformers() -> None:
    import json
    from pathlib import Path

    import whisper_normalizer
    from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

    spelling = Path(whisper_normalizer.__file__).parent / "normalizers" / "english.json"
    english, basic = EnglishTextNormalizer(json.loads(spelling.read_text())), BasicTextNormalizer()
    for text in (
        "Zero three five one",
        "I won't pay $3.50 for 2nd-hand colours",
        "(Laughs) the  Queen's  gaol",
        "Naïve!",
    ):
        assert TextNormalizer("whisper-english")(text) == english(text)
        assert TextNormalizer("whisper-basic")(text) == " ".join(basic(text).split())
