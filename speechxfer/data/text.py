"""How transcripts are written: named, versioned normalizers."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from speechxfer.data.characters import JOINERS, is_word_character, unified
from speechxfer.errors import CheckpointError, ConfigError

_OLD_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "＇": "'", "`": "'", "´": "'"})  # noqa: RUF001

#: Marks that belong to a word between two letters: the apostrophe, the middle dot after l (Catalan), the gershayim.
#: Elsewhere they are punctuation.
_INNER = "'·״"
_OUTER = re.compile(f"(?<![^ {_INNER}])'|'(?![^ {_INNER}])|(?<!l)·|·(?![^ {_INNER}])|(?<![\u0591-\u05ea])״|״(?![א-ת])")
#: Inside a word, the modifier letter apostrophe becomes the plain one, because people type either.
_LETTER_APOSTROPHE = re.compile(f"(?<=[^ {_INNER}ʼ{JOINERS}])ʼ(?=[^ {_INNER}ʼ{JOINERS}])")  # noqa: RUF001
#: Variation selectors and joiners after a removed symbol.
_STRAY = re.compile(f"(?<![^ {_INNER}ʼ])[\ufe00-\ufe0f\u20e3{JOINERS}]+")  # noqa: RUF001
_SECOND_DOT = re.compile("i\u0307+")
_LOWER_I = str.maketrans({"İ": "i"})
_LOWER_I_TURKISH = str.maketrans({"İ": "i", "I": "ı"})  # noqa: RUF001


class _WordCharacters(dict[int, str]):
    """Code point -> the character if it belongs to words, else a space; computed on first use."""

    def __missing__(self, number: int) -> str:
        character = chr(number)
        kept = is_word_character(character) or character in _INNER or character in JOINERS
        self[number] = written = character if kept else " "
        return written


_WORD_CHARACTERS = _WordCharacters()


def _basic(text: str, capitals: dict[int, str] = _LOWER_I) -> str:
    """Lower case, unified letters; only letters, marks and digits, and single spaces."""
    # Python lowers İ to i with a second dot, and so did other programs.
    lowered = unicodedata.normalize("NFC", unified(text).translate(capitals).lower())
    lowered = unicodedata.normalize("NFC", _SECOND_DOT.sub("i", lowered))
    words = _OUTER.sub(" ", _STRAY.sub("", lowered.translate(_WORD_CHARACTERS)))
    return _LETTER_APOSTROPHE.sub("'", words).strip()


def _basic_turkish(text: str) -> str:
    """As `_basic`, for Turkish and Azerbaijani: the capital of i has a dot, and that of ı has none."""  # noqa: RUF002
    return _basic(text, _LOWER_I_TURKISH)


def _basic_upper(text: str) -> str:
    """As `_basic`, in upper case, like many published English models."""
    upper = unicodedata.normalize("NFC", _basic(text).upper())
    while "İ" in upper:  # a combining dot above composes with I
        upper = unicodedata.normalize("NFC", upper.replace("İ", "I"))
    return upper


def _basic_1(text: str) -> str:
    """Version 1: NFKC, and a space for every character except letters, marks, digits and inner apostrophes."""
    text = unicodedata.normalize("NFKC", text.translate(_OLD_APOSTROPHES)).lower()
    kept = (c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return re.sub(r"(?<!\w)'|'(?!\w)", " ", "".join(kept)).strip()


def _basic_upper_1(text: str) -> str:
    return _basic_1(text).upper()


@functools.cache
def _whisper(kind: str) -> Callable[[str], str]:
    """The normalizers of the Whisper paper; imported late because they load long tables."""
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


#: Every version with which models may have been saved, newest last.
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
    """A named text normalizer; its version increases whenever its output changes.

    Args:
        name: for instance "basic".
        version: 0 for the newest. Models keep the version they were trained with.

    Raises:
        ConfigError: an unknown name or version.
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
        """Restore the normalizer of a model from its folder.

        Raises:
            CheckpointError: an unknown name or version.
        """
        try:
            return cls(description["name"], description["version"])
        except ConfigError as error:
            raise CheckpointError(f"{error}; install the version of speechxfer the model was trained with") from error

    @classmethod
    def named(cls, name: str) -> TextNormalizer:
        """From its name and version, as `str` writes them: "basic/1".

        Raises:
            ConfigError: an unknown name or version.
        """
        name, _, version = name.partition("/")
        return cls(name, int(version or 0))

    def to_dict(self) -> dict[str, Any]:
        """For the model folder."""
        return {"name": self.name, "version": self.version}

    def __call__(self, text: str) -> str:
        """The normalized text, single-spaced."""
        return " ".join(_NORMALIZERS[self.name][self.version](text).split())

    def damaged(self, text: str) -> str | None:
        """The first word of a text that this normalizer corrupts, or None.

        The normalizers of the Whisper paper remove combining marks, which in Hindi, Thai or Persian are vowels. That
        `whisper-english` removes accents of Latin letters is intended.
        """
        if not self.name.startswith("whisper-") or text.isascii():
            return None
        form: Literal["NFC", "NFKD"] = "NFKD" if self.name == "whisper-english" else "NFC"
        return next((word for word in text.split() if _has_marks(unicodedata.normalize(form, word), form)), None)

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


def _has_marks(word: str, form: str) -> bool:
    """Whether a word has combining marks, except decomposed accents on Latin letters."""
    base = ""
    for character in word:
        if unicodedata.category(character)[0] != "M":
            base = character
        elif form == "NFC" or not unicodedata.name(base, "").startswith("LATIN "):
            return True
    return False
