from __future__ import annotations

import functools
import random
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.data.text import TextNormalizer
from speechxfer.errors import CheckpointError, ConfigError


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


OWN = ("basic", "basic-turkish", "basic-upper", "none")


@given(st.text())
def test_normalizing_twice_changes_nothing(text: str) -> None:
    for name in OWN:
        normalizer = TextNormalizer(name)
        assert normalizer(normalizer(text)) == normalizer(text)


@functools.cache
def every_character() -> list[str]:
    """All of Unicode that has a meaning, but of the thousands of syllables and ideographs only each fiftieth."""
    characters = [chr(number) for number in range(sys.maxunicode + 1) if not 0xD800 <= number < 0xE000]
    named = [one for one in characters if unicodedata.category(one) not in ("Cn", "Co", "Cs")]
    many = (
        "CJK UNIFIED",
        "HANGUL SYLLABLE",
        "TANGUT",
        "CUNEIFORM",
        "EGYPTIAN",
        "NUSHU",
        "KHITAN",
        "BAMUM",
        "ANATOLIAN",
    )
    return [one for one in named if not unicodedata.name(one, "").startswith(many) or ord(one) % 50 == 0]


#: Between Latin letters, alone, at a word's end, after a capital I, among letters that are joined, stacked or unspaced.
CONTEXTS = "a{0}a {0} b{0} I{0}i \u0628{0}\u0628 \u0915\u094d{0}\u0915 \u0e01{0}\u0e32 \u05d0{0}\u05d0 l{0}l '{0}'"


def many_at_once(characters: list[str]) -> list[list[str]]:
    """Parts of a list, which are normalized faster than words one by one; a space ends what a letter does to others."""
    return [characters[start : start + 100] for start in range(0, len(characters), 100)]


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_every_character_of_unicode_is_normalized_once(name: str) -> None:
    normalizer, characters = TextNormalizer(name), every_character()
    if name not in ("basic", "none"):  # which differs from basic in the case of letters only
        characters = [one for one in characters if one.lower() != one.upper() or unicodedata.category(one)[0] == "M"]
    for part in many_at_once(characters):
        text = normalizer(" ".join(CONTEXTS.format(one) for one in part))
        assert normalizer(text) == text


#: Signs of Arabic that stand for three or four words.
PHRASES = "\ufdfa\ufdfb"


@pytest.mark.parametrize("name", OWN)
def test_no_letter_mark_or_digit_is_lost_and_none_becomes_a_space(name: str) -> None:
    normalizer = TextNormalizer(name)
    categories = {one: unicodedata.category(one) for one in every_character() if one not in PHRASES}
    for part in many_at_once([one for one, kind in categories.items() if kind[0] in "LMN" or kind == "Cf"]):
        words = normalizer(" ".join(f"q{one}q" for one in part)).split(" ")
        for one, word in zip(part, words, strict=True):
            assert categories[one] == "Cf" or len(unicodedata.normalize("NFD", word)) > 2, f"U+{ord(one):04X}"
    assert all(len(normalizer(f"q{one}q")) > 2 for one in PHRASES)


def test_a_letter_alone_at_the_edge_of_a_word_is_not_lost_either() -> None:
    normalizer = TextNormalizer("basic")
    lost = [one for one in every_character() if unicodedata.category(one)[0] in "LN" and not normalizer(one)]
    assert lost == []


@pytest.mark.parametrize(
    "text",
    [
        "\u0e19\u0e49\u0e33",  # Thai: water, with sara am
        "\u0e99\u0ec9\u0eb3 \u0edc\u0eb9\u0edd\u0eb9",  # Lao am, ho no, ho mo
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, a non-joiner inside a word
        "pdf\u200c\u0647\u0627",  # a Persian ending on a Latin word
        "\u0dc1\u0dca\u200d\u0dbb\u0dd3",  # Sinhala, a joiner after the virama
        "\u0d05\u0d35\u0d28\u0d4d\u200d",  # Malayalam, a final consonant spelled with a joiner
        "\u09b0\u200d\u09cd\u09af\u09be\u09ac",  # Bengali, a joiner before the virama
        "\u1820\u180e\u1820",  # Mongolian, the vowel separator
        "\u0939\u093f\u0928\u094d\u0926\u0940",  # Hindi, vowel signs
        "\u0645\u064f\u062d\u064e\u0645\u0651\u064e\u062f",  # Arabic with vowel signs
        "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",  # Hebrew with points
        "\u05e6\u05d4\u05f4\u05dc",  # a Hebrew abbreviation
        "\u0587",  # Armenian ew
        "\u3131\u314f",  # Korean letters by themselves
        "\uac00\ub098",  # Korean syllables
        "\u1ec7 \u01b0\u1eddi",  # Vietnamese
        "\u03bf\u03b4\u03cc\u03c2",  # Greek with a final sigma
        "k\u02b7 t\u02b0",  # superscript letters of phonetic writing
        "stra\u00dfe",
        "col\u00b7lecci\u00f3",
        "10\u00b2 2\u00bd 1\u00ba",
        "\u0663\u0664 \u0969",  # digits of other scripts
    ],
)
def test_what_basic_leaves_as_it_is(text: str) -> None:
    assert TextNormalizer("basic")(text) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("\u0130stanbul \u0130ZM\u0130R", "istanbul izmir"),  # the dot of a capital is no mark on the small letter
        ("i\u0307stanbul", "istanbul"),  # as other programs put it into lower case
        ("\u039f\u0394\u039f\u03a3.", "\u03bf\u03b4\u03bf\u03c2"),
        ("GRO\u1e9e", "gro\u00df"),
        ("soft\u00adware \u200eabc\u200f\u2067d\u2069", "software abcd"),
        ("\ufeffone\u2060two\ufeff", "onetwo"),
        ("auf\u200clage", "auflage"),  # a joiner that only keeps a ligature apart
        ("\u0645\u06cc\u200c \u0645\u06cc\u200c\u200c\u06a9\u0646", "\u0645\u06cc \u0645\u06cc\u200c\u06a9\u0646"),
        ("one\u00a0two\u3000three\u202ffour", "one two three four"),
        ("\u1780\u17b6\u200b\u1780\u17b6 a\u200bb", "\u1780\u17b6 \u1780\u17b6 ab"),  # Khmer words
        ("\u0e19\u0e4d\u0e49\u0e32 \u0e19\u0e49\u0e4d\u0e32", "\u0e19\u0e49\u0e33 \u0e19\u0e49\u0e33"),
        ("\uff76\uff9e\uff8a\uff9f", "\u30ac\u30d1"),  # half-width katakana with voicing marks
        ("\u1112\u1161\u11ab", "\ud55c"),  # conjoining jamo
        ("\ufee3\ufea3\ufee4\ufeaa \ufe70", "\u0645\u062d\u0645\u062f \u064b"),  # Arabic presentation forms
        ("\ufb01nd \uff21\uff22\uff23", "find abc"),
        ("co\u0140lecci\u00f3", "col\u00b7lecci\u00f3"),
        (
            '\u05e6\u05d4"\u05dc \u05d2\u05f3\u05d9\u05e8\u05e4\u05d4',
            "\u05e6\u05d4\u05f4\u05dc \u05d2'\u05d9\u05e8\u05e4\u05d4",
        ),
        ("m\u02bcyata m\u2019yata", "m'yata m'yata"),
        ("\u025b\u0300'a", "\u025b\u0300'a"),  # an apostrophe after a mark
        ("I \u2764\ufe0f you", "i you"),
        ("a \u00b7 b", "a b"),
        ("5 \u339e, Acme\u2122", "5 km acme"),
    ],
)
def test_what_basic_writes_in_one_way(written: str, normal: str) -> None:
    assert TextNormalizer("basic")(written) == normal


def test_turkish_capitals() -> None:
    assert TextNormalizer("basic-turkish")("I\u015eIK \u0130zin") == "\u0131\u015f\u0131k izin"


def test_ordinary_english_is_written_as_before() -> None:
    old, new = TextNormalizer("basic", 1), TextNormalizer("basic")
    chance = random.Random(0)
    for _ in range(3000):
        text = "".join(
            chance.choices(
                "abc XYZ 019 .,;:!?'\"()[]-_/&%$\u2019\u201c\u201d\u2013\u2014\u2026\u00e9\u00c9\u00fc\u20ac", k=30
            )
        )
        assert new(text) == old(text)


def test_a_normalizer_keeps_the_version_it_was_made_with() -> None:
    old = TextNormalizer("basic", 1)
    assert (str(old), str(TextNormalizer("basic"))) == ("basic/1", "basic/2")
    assert old("soft\u00adware") == "soft ware"
    assert TextNormalizer.restore(old.to_dict()) == old
    assert TextNormalizer("basic") == TextNormalizer("basic", 2)
    with pytest.raises(CheckpointError, match=r"normalizer basic/9 is not known; wanted basic/2 or older; install"):
        TextNormalizer.restore({"name": "basic", "version": 9})


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("whisper-basic", "yes \u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093f\u0928\u094d\u0926\u0940"),
        ("whisper-basic", "caf\u00e9 \u0439", None),
        ("whisper-english", "caf\u00e9", None),
        ("whisper-english", "\u0439", "\u0439"),
        ("basic", "\u0939\u093f", None),
    ],
)
def test_words_that_a_normalizer_takes_apart(name: str, text: str, word: str | None) -> None:
    assert TextNormalizer(name).damaged(text) == word


def test_an_unknown_normalizer_is_reported() -> None:
    with pytest.raises(
        ConfigError,
        match="'basics' is not known; wanted one of: basic, basic-turkish, basic-upper, none, whisper-basic, whisper-",
    ):
        TextNormalizer("basics")


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
def test_other_normalizers(name: str, text: str, written: str) -> None:
    assert TextNormalizer(name)(text) == written
    assert TextNormalizer(name)("") == ""


def test_whispers_normalizers_are_those_of_transformers() -> None:
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
