"""The pieces of a transcript between which a cue or a line may end: words, or less where words have no spaces."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from speechxfer.decoding.hypothesis import Word
from speechxfer.inference.transcript import Segment

#: Scripts that put no spaces between words, and allow a break nearly everywhere: Han and kana.
_UNSPACED = re.compile(
    "[\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
#: Thai and Lao have no spaces either. A syllable begins with these vowels.
_SYLLABLE = re.compile("[\u0e40-\u0e44\u0ec0-\u0ec4]")
#: Small kana and the like, which begin no line.
_NO_BEGINNING = frozenset("ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶーゝゞヽヾ々〻")
_ZERO_WIDTH_SPACE = "\u200b"
#: Seconds between two pieces that belong to different cues.
LONG_PAUSE_S = 0.8


@dataclass(frozen=True, slots=True)
class Piece:
    """A text that stays on one line, with its time in seconds."""

    text: str
    start: float
    end: float
    #: Whether a space separates it from the piece before.
    is_spaced: bool = True
    #: Whether its time was measured, and not only that of its segment.
    is_timed: bool = True
    #: In characters, of which wide ones are two and combining ones none.
    width: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", width(self.text))


def width(text: str) -> int:
    """Columns of a text: wide characters are two, combining and format characters none."""
    return len(text) if text.isascii() else sum(map(_columns, text))


@functools.cache
def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def joined(pieces: Iterable[Piece]) -> str:
    """The text of consecutive pieces."""
    return "".join(f" {piece.text}" if piece.is_spaced else piece.text for piece in pieces).strip()


def blocks(segments: Iterable[Segment]) -> Iterator[list[Piece]]:
    """The pieces of segments, in order: those between two long pauses, and those of a segment without word times.

    Words without times share their segment's time by their lengths.
    """
    block: list[Piece] = []
    for segment in segments:
        for place, piece in enumerate(_of_segment(segment)):
            if block and _are_apart(block[-1], piece, is_first=not place):
                yield block
                block = []
            block.append(piece)
    if block:
        yield block


def _are_apart(before: Piece, piece: Piece, *, is_first: bool) -> bool:
    is_timed = before.is_timed and piece.is_timed
    return piece.start - before.end >= LONG_PAUSE_S or (is_first and not is_timed)


def _of_segment(segment: Segment) -> Iterator[Piece]:
    words = [word for word in segment.words if word.text.strip()]
    if not words:
        yield from _split(" ".join(segment.text.split()), segment.start, segment.end, is_spaced=True, is_timed=False)
        return
    for word, is_spaced in zip(words, _spaces(segment.text, words), strict=True):
        yield from _split(" ".join(word.text.split()), word.start, word.end, is_spaced, is_timed=True)


def _spaces(text: str, words: Sequence[Word]) -> Iterator[bool]:
    """Whether a space stands before each word: as in the segment's text, or else as its script has it."""
    position, before = 0, " "
    for word in words:
        found = text.find(word.text.strip(), position)
        if found >= 0 and not text[position:found].strip():
            yield found > position or position == 0 or word.text[0].isspace()
            position = found + len(word.text.strip())
        else:
            yield not (_UNSPACED.match(before[-1]) and _UNSPACED.match(word.text[0]))
        before = word.text


def _split(text: str, start: float, end: float, is_spaced: bool, is_timed: bool) -> Iterator[Piece]:
    """A word or text in pieces that share its time by their widths."""
    parts = [part for part in _BREAKS.split(text) if part] if text.isascii() else list(_parts(text))
    total = sum(max(width(part), 1) for part in parts)
    done = 0
    for part in parts:
        begin, done = done, done + max(width(part), 1)
        shown = part.strip(_ZERO_WIDTH_SPACE + " ")
        if shown:
            at, until = (start + (end - start) * place / total for place in (begin, done))
            yield Piece(shown, at, until, is_spaced or part[0] == " ", is_timed)
        is_spaced = False


_BREAKS = re.compile("(?= )")


def _parts(text: str) -> Iterator[str]:
    begin = 0
    for place in range(1, len(text)):
        if _may_break(text[place - 1], text[place]):
            yield text[begin:place]
            begin = place
    yield text[begin:]


def _may_break(before: str, after: str) -> bool:
    if after == " " or before == _ZERO_WIDTH_SPACE:
        return True
    if _SYLLABLE.match(after):
        return unicodedata.category(before)[0] in "LM" and not _SYLLABLE.match(before)
    if not (_UNSPACED.match(before) or _UNSPACED.match(after)):
        # Between a mark of punctuation and what follows it, as in "。A", but not in "3.5".
        return unicodedata.east_asian_width(before) in "WF" and unicodedata.category(before) in ("Po", "Pe", "Pf")
    return not (
        unicodedata.category(before) in ("Ps", "Pi", "Zs")
        or after in _NO_BEGINNING
        or (unicodedata.category(after)[0] in "PM" and unicodedata.category(after) not in ("Ps", "Pi"))
    )
