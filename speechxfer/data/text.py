"""Text to numbers and back: named, versioned normalisers and the CTC vocabulary."""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from speechxfer.errors import CheckpointError, ConfigError, DataError

_APOSTROPHES = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "＇": "'", "`": "'", "´": "'"})  # noqa: RUF001


def _basic(text: str) -> str:
    """Lower case, compatibility-composed, letters, digits and inner apostrophes only, single spaces."""
    text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).lower()
    kept = (c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    return re.sub(r"(?<!\w)'|'(?!\w)", " ", "".join(kept)).strip()


def _basic_upper(text: str) -> str:
    """As `_basic`, in upper case: how many published English models spell."""
    return _basic(text).upper()


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


_NORMALIZERS: dict[str, tuple[int, Callable[[str], str]]] = {
    "none": (1, str),
    "basic": (1, _basic),
    "basic-upper": (1, _basic_upper),
    "whisper-basic": (1, _whisper_basic),
    "whisper-english": (1, _whisper_english),
}


@dataclass(frozen=True)
class TextNormalizer:
    """A named way to write text down; `version` rises whenever what it writes changes.

    Raises:
        ConfigError: no normaliser has this name.
    """

    name: str = "basic"

    def __post_init__(self) -> None:
        if self.name not in _NORMALIZERS:
            known = ", ".join(sorted(_NORMALIZERS))
            raise ConfigError(f"normalizer {self.name!r} is not known; wanted one of: {known}")

    @property
    def version(self) -> int:
        """Of the rules behind the name."""
        return _NORMALIZERS[self.name][0]

    def __call__(self, text: str) -> str:
        """The text as this normaliser writes it, single-spaced."""
        return " ".join(_NORMALIZERS[self.name][1](text).split())

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


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
