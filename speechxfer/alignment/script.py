"""What a recording is said to hold: the words of a text, as they are written and as a head spells them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speechxfer.data import textfiles
from speechxfer.data.annotations import SUFFIXES, read
from speechxfer.heads.reader import HeadTraits


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a script, or a subtitle with the seconds from and to which it is shown."""

    text: str
    shown: tuple[float, float] | None = None
    #: The beginning of every message about it: "talk.txt:12".
    origin: str = ""


#: After these, and what closes a quotation, a sentence ends.
_SENTENCES = re.compile(r"(?<=[.!?…])[\"'»”’)]*\s+|(?<=[。！？])")  # noqa: RUF001


def read_lines(path: Path, warn: Callable[[str, str], None]) -> list[Line]:
    """The sentences of a text file, or the cues of subtitles with their times.

    Raises:
        DataError: the file cannot be read.
    """
    if path.suffix.lower() not in SUFFIXES:
        return list(sentences(textfiles.lines(path), str(path)))
    return [Line(one.text, (one.start, one.end), one.origin) for one in read(path, warn).intervals]


def sentences(lines: Iterable[str], name: str = "") -> Iterator[Line]:
    """The sentences of lines; `name` is what messages call the text."""
    for number, line in enumerate(lines, start=1):
        for sentence in _SENTENCES.split(line):
            if text := " ".join((sentence or "").split()):
                yield Line(text, origin=f"{name}:{number}" if name else "")


class Script:
    """The words of lines, in order; only the parts of a text that hold a letter or a digit are words.

    Marks that stand alone (a dash, three dots) belong to the word before them. Where the head writes no spaces, each
    character is a word.

    Args:
        lines: of the script.
        head: spells the words.

    Attributes:
        lines: of the script.
        words: as they are written.
        line: [words] the line of each word.
        shown: [words] the middle of the time for which a word's subtitle is shown, in seconds; NaN without one.
        symbols: how the head spells each word; empty where it has none of the word's characters.
        missing: the characters that the head lacks, with a word that has one.
    """

    def __init__(self, lines: Iterable[Line], head: HeadTraits) -> None:
        self.lines = tuple(lines)
        self.words: list[str] = []
        self.symbols: list[tuple[int, ...]] = []
        self.missing: dict[str, str] = {}
        spell = functools.cache(head.spell)
        has_spaces = any(" " in text for text in head.symbol_texts)
        numbers: list[int] = []
        for number, line in enumerate(self.lines):
            for word, spelled in _words(line.text.split() if has_spaces else line.text, spell):
                self.words.append(word)
                self.symbols.append(tuple(symbol for symbol in spelled if symbol is not None))
                numbers.append(number)
                if None in spelled:
                    self.missing.update(self._lacking(word, spell))
        self.line: NDArray[np.int64] = np.array(numbers, dtype=np.int64)
        middles = [np.nan if line.shown is None else sum(line.shown) / 2 for line in self.lines]
        self.shown: NDArray[np.float64] = np.array(middles, dtype=np.float64)[self.line]

    def __len__(self) -> int:
        return len(self.words)

    @staticmethod
    def _lacking(word: str, spell: functools._lru_cache_wrapper[list[int | None]]) -> Iterator[tuple[str, str]]:
        return ((character, word) for character in word if None in spell(character))


def _words(
    parts: Iterable[str], spell: functools._lru_cache_wrapper[list[int | None]]
) -> Iterator[tuple[str, list[int | None]]]:
    """The words of a line, with the marks that stand alone beside them, and their symbols."""
    before, current = "", ("", list[int | None]())
    for part in parts:
        if not part.strip():
            continue
        if not (spelled := spell(part)):
            if current[1]:
                current = (f"{current[0]} {part}", current[1])
            else:
                before = f"{before}{part} "
            continue
        if current[1]:
            yield current
        current, before = (before + part, spelled), ""
    if current[1]:
        yield current
