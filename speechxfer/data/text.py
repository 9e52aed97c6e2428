"""Text to numbers and back: named, versioned normalizers and the CTC vocabulary."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from speechxfer.data.characters import JOINERS, is_word_character, unified
from speechxfer.errors import CheckpointError, ConfigError, DataError

_OLD_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "＇": "'", "`": "'", "´": "'"})  # noqa: RUF001

#: Marks that belong to a word where letters stand on both sides: the apostrophe, the middle dot after l (Catalan), the
#: gershayim. Everywhere else they are punctuation.
_INNER = "'·״"
_OUTER = re.compile(f"(?<![^ {_INNER}])'|'(?![^ {_INNER}])|(?<!l)·|·(?![^ {_INNER}])|(?<![\u0591-\u05ea])״|״(?![א-ת])")
#: The apostrophe that is a letter is written as the other one inside a word, where people type either.
_LETTER_APOSTROPHE = re.compile(f"(?<=[^ {_INNER}ʼ{JOINERS}])ʼ(?=[^ {_INNER}ʼ{JOINERS}])")  # noqa: RUF001
#: They choose a form of the character before them, or join it, and that may have been a symbol.
_IDLE = re.compile(f"(?<![^ {_INNER}ʼ])[\ufe00-\ufe0f\u20e3{JOINERS}]+")  # noqa: RUF001
_SECOND_DOT = re.compile("i\u0307+")
_LOWER_I = str.maketrans({"İ": "i"})
_LOWER_I_TURKISH = str.maketrans({"İ": "i", "I": "ı"})  # noqa: RUF001


class _WordCharacters(dict[int, str]):
    """From code points to themselves inside words, to spaces elsewhere; worked out when first met."""

    def __missing__(self, number: int) -> str:
        character = chr(number)
        kept = is_word_character(character) or character in _INNER or character in JOINERS
        self[number] = written = character if kept else " "
        return written


_WORD_CHARACTERS = _WordCharacters()


def _basic(text: str, capitals: dict[int, str] = _LOWER_I) -> str:
    """Lower case, one way to write each letter, letters, marks and digits only, single spaces."""
    # Python writes İ as i with a second dot, and others have written it so.
    lowered = unicodedata.normalize("NFC", unified(text).translate(capitals).lower())
    lowered = unicodedata.normalize("NFC", _SECOND_DOT.sub("i", lowered))
    words = _OUTER.sub(" ", _IDLE.sub("", lowered.translate(_WORD_CHARACTERS)))
    return _LETTER_APOSTROPHE.sub("'", words).strip()


def _basic_turkish(text: str) -> str:
    """As `_basic`, for Turkish and Azerbaijani: the capital of i has a dot, and that of ı has none."""  # noqa: RUF002
    return _basic(text, _LOWER_I_TURKISH)


def _basic_upper(text: str) -> str:
    """As `_basic`, in upper case: how many published English models spell."""
    upper = unicodedata.normalize("NFC", _basic(text).upper())
    while "İ" in upper:  # a dot above has met an I
        upper = unicodedata.normalize("NFC", upper.replace("İ", "I"))
    return upper


def _basic_1(text: str) -> str:
    """What `_basic` was: NFKC, and a space for every character that is no letter, mark, digit or inner apostrophe."""
    text = unicodedata.normalize("NFKC", text.translate(_OLD_APOSTROPHES)).lower()
    kept = (c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return re.sub(r"(?<!\w)'|'(?!\w)", " ", "".join(kept)).strip()


def _basic_upper_1(text: str) -> str:
    return _basic_1(text).upper()


@functools.cache
def _whisper(kind: str) -> Callable[[str], str]:
    """The normalisers of the Whisper paper; imported when wanted, for they carry long tables."""
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer

    made: Callable[[str], str] = EnglishTextNormalizer() if kind == "english" else BasicTextNormalizer()
    return made


def _whisper_english(text: str) -> str:
    """Radford et al., 2022, appendix C: numbers in digits, American spelling, contractions written out."""
    return _whisper("english")(text)


def _whisper_basic(text: str) -> str:
    """Radford et al., 2022, appendix C, for other languages: lower case, no marks, nothing in brackets."""
    return _whisper("basic")(text)


#: Every version that models have been saved with, the newest last.
_NORMALIZERS: dict[str, dict[int, Callable[[str], str]]] = {
    "none": {1: str},
    "basic": {1: _basic_1, 2: _basic},
    "basic-turkish": {1: _basic_turkish},
    "basic-upper": {1: _basic_upper_1, 2: _basic_upper},
    "whisper-basic": {1: _whisper_basic},
    "whisper-english": {1: _whisper_english},
}


@dataclass(frozen=True)
class TextNormalizer:
    """A named way to write text down; the version rises whenever what it writes changes.

    Args:
        name: "basic", say.
        version: of the rules behind the name; 0 is the newest. Models keep the one they were trained with.

    Raises:
        ConfigError: no normalizer has this name, or not this version.
    """

    name: str = "basic"
    version: int = 0

    def __post_init__(self) -> None:
        if self.name not in _NORMALIZERS:
            known = ", ".join(sorted(_NORMALIZERS))
            raise ConfigError(f"normalizer {self.name!r} is not known; wanted one of: {known}")
        versions = _NORMALIZERS[self.name]
        object.__setattr__(self, "version", self.version or max(versions))
        if self.version not in versions:
            raise ConfigError(f"normalizer {self} is not known; wanted {self.name}/{max(versions)} or older")

    @classmethod
    def restore(cls, description: Mapping[str, Any]) -> TextNormalizer:
        """The one a model was trained with, from what its folder says.

        Raises:
            CheckpointError: a name or version that is not known here.
        """
        try:
            return cls(description["name"], description["version"])
        except ConfigError as error:
            raise CheckpointError(f"{error}; install the version of speechxfer the model was trained with") from error

    def to_dict(self) -> dict[str, Any]:
        """For the model folder."""
        return {"name": self.name, "version": self.version}

    def __call__(self, text: str) -> str:
        """The text as this normalizer writes it, single-spaced."""
        return " ".join(_NORMALIZERS[self.name][self.version](text).split())

    def damaged(self, text: str) -> str | None:
        """The first word of a text that this normalizer takes apart, None where there is none.

        Those of the Whisper paper replace or drop marks: in Hindi, Thai or Persian, vowels. That `whisper-english`
        drops the accents of Latin letters is meant so.
        """
        if not self.name.startswith("whisper-") or text.isascii():
            return None
        form: Literal["NFC", "NFKD"] = "NFKD" if self.name == "whisper-english" else "NFC"
        return next((word for word in text.split() if _has_marks(unicodedata.normalize(form, word), form)), None)

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


def _has_marks(word: str, form: str) -> bool:
    """Whether marks stand in a word, but for accents on Latin letters that were taken apart."""
    base = ""
    for character in word:
        if unicodedata.category(character)[0] != "M":
            base = character
        elif form == "NFC" or not unicodedata.name(base, "").startswith("LATIN "):
            return True
    return False


class CTCVocabulary:
    """The symbols a CTC head can write; number 0 is the blank, which is no symbol.

    Characters by default: `symbols` are what `text` is cut into one by one.
    """

    BLANK = 0

    def __init__(self, symbols: Sequence[str]) -> None:
        if len(set(symbols)) != len(symbols) or not all(len(symbol) == 1 for symbol in symbols):
            raise CheckpointError(f"a CTC vocabulary is a list of different single characters; found {symbols!r:.200}")
        self.symbols = tuple(symbols)
        self._numbers = {symbol: number for number, symbol in enumerate(symbols, start=1)}

    @classmethod
    def from_texts(cls, texts: Iterable[str]) -> CTCVocabulary:
        """All characters of the (normalised) training texts, in code point order.

        Raises:
            DataError: the texts hold no character at all.
        """
        symbols = sorted(set().union(*texts) - {"\n"})
        if not symbols:
            raise DataError("the training texts hold no characters after normalisation; nothing to learn")
        return cls(symbols)

    def extended(self, characters: Iterable[str]) -> CTCVocabulary:
        """The same numbers, and new ones after them for the characters that it lacks, in code point order."""
        return CTCVocabulary([*self.symbols, *sorted(set(characters) - set(self.symbols))])

    def __len__(self) -> int:
        return len(self.symbols) + 1

    def unknown(self, text: str) -> Counter[str]:
        """Characters of `text` that cannot be written, with their counts."""
        return Counter(character for character in text if character not in self._numbers)

    def encode(self, text: str) -> list[int]:
        """Numbers of the characters; those that cannot be written are left out."""
        return [self._numbers[character] for character in text if character in self._numbers]

    def decode(self, numbers: Iterable[int]) -> str:
        """The characters of already collapsed numbers."""
        return "".join(self.symbols[number - 1] for number in numbers)

    def to_dict(self) -> dict[str, Any]:
        """For the model folder."""
        return {"symbols": list(self.symbols)}


def frames_needed(targets: Sequence[int]) -> int:
    """Frames CTC needs at least for a target: one a symbol, and a blank between equal neighbours."""
    repeats = sum(first == second for first, second in itertools.pairwise(targets))
    return len(targets) + repeats
