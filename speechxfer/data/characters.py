"""Unicode characters in transcripts: variants of a letter, joiners that a script needs, marks without content.

Everything here is about Unicode, nothing about error rates or models.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable


class _Blocks:
    """Blocks of Unicode. A regular expression would know them too, but take 20 ms to compile.

    Args:
        ranges: their first and last characters, such as "a-zA-Z".
    """

    def __init__(self, ranges: str) -> None:
        self._ranges = [(ranges[place], ranges[place + 2]) for place in range(0, len(ranges), 3)]

    def __contains__(self, character: str) -> bool:
        return character > "\x7f" and any(first <= character <= last for first, last in self._ranges)


#: Letters that NFKC decomposes although their orthographies treat them as one: Armenian ew, Kazakh high hamza letters,
#: Thai and Lao am, Lao ho no and ho mo, and Hangul letters that stand alone.
_OWN_LETTERS = frozenset("\u0587\u0675\u0676\u0677\u0678\u0e33\u0eb3\u0edc\u0edd") | frozenset(
    map(chr, range(0x3131, 0x318F))
)
#: Kinds of compatibility equivalence of Unicode that change a transcript: 10² is not 102, nor 2½ 21/2,
#: nor a superscript letter of phonetic writing an ordinary one.
_NOT_EQUIVALENT = ("<super>", "<fraction>")
#: Letters that are often typed as two characters.
_SPELLED_OUT = {"\u0149": "'n", "\u013f": "L·", "\u0140": "l·"}
_APOSTROPHES = frozenset("’‘‛`´＇׳՚")  # noqa: RUF001

#: Zero-width characters that change how the letters around them join.
JOINERS = "\u200c\u200d\u180e"
_JOINER_RUN = re.compile(f"[{JOINERS}]+")
_ZERO_WIDTH_SPACE = "\u200b"
#: Blocks of the scripts that join or stack their letters: from Arabic to Mongolian, Indic, South-East Asian, historic.
_JOINED = _Blocks(
    "\u0600-\u0dff\u0f00-\u109f\u1780-\u18af\u1900-\u1c4f\ua800-\ua95f\ua980-\uaaff\uabc0-\uabff\ufb50-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00011fff\U0001e900-\U0001e95f"
)
#: Blocks of the scripts without spaces between words, or with zero-width spaces: Thai, Lao, Myanmar, Khmer, Tai.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf"
#: The same with Chinese and Japanese.
_IDEOGRAPHIC_OR_UNSPACED = _Blocks(
    f"{_UNSPACED}\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_WORD_SEPARATOR = re.compile(f"(?<=[{_UNSPACED}]){_ZERO_WIDTH_SPACE}+(?=[{_UNSPACED}])")
_VIRAMA = 9  # the canonical combining class of signs that take a consonant's vowel away

#: Sequences that mean one letter or mark: sara am in its two parts, around a tone mark; its Lao twin; and quotation
#: marks typed for a gershayim inside a Hebrew word.
_SEQUENCES = (
    (re.compile("\u0e4d([\u0e48-\u0e4b]?)\u0e32"), "\\1\u0e33"),
    (re.compile("\u0ecd([\u0ec8-\u0ecb]?)\u0eb2"), "\\1\u0eb3"),
    (re.compile('(?<=[\u0591-\u05ea])["”](?=[\u05d0-\u05ea])'), "״"),
)


def is_unspaced(character: str) -> bool:
    """Whether a character is of a script without spaces between words: Chinese, Japanese, Thai, Lao, Myanmar, Khmer."""
    return character in _IDEOGRAPHIC_OR_UNSPACED


def joined(texts: Iterable[str]) -> str:
    """Texts one after the other: a space between two, but none between two of a script without spaces."""
    found = ""
    for text in texts:
        is_apart = found and text and not (_needs_no_space(found[-1]) and _needs_no_space(text[0]))
        found += f" {text}" if is_apart else text
    return found


def _needs_no_space(character: str) -> bool:
    """Whether a character is of a script without spaces, or a mark of punctuation that is as wide as an ideograph."""
    is_wide = unicodedata.east_asian_width(character) in "WF"
    return is_unspaced(character) or (is_wide and unicodedata.category(character)[0] == "P")


def is_word_character(character: str) -> bool:
    """Whether a character is a letter, a combining mark, or a digit."""
    return unicodedata.category(character)[0] in "LMN"


def unified(text: str) -> str:
    """The text in NFC, with unified letters and without characters that have no content.

    Full-width letters, ligatures and presentation forms become ordinary letters, apostrophes U+0027. Soft hyphens,
    direction marks and other format characters go; joiners stay where a script needs them. A zero-width space between
    letters of a script that separates words by it becomes a space.
    """
    text = unicodedata.normalize("NFC", text.translate(_EQUIVALENTS))
    text = unicodedata.normalize("NFC", _WORD_SEPARATOR.sub(" ", text).replace(_ZERO_WIDTH_SPACE, ""))
    text = _without_idle_joiners(text)
    for sequence, written in _SEQUENCES:
        text = sequence.sub(written, text)
    return text


def _without_idle_joiners(text: str) -> str:
    """NFC text without joiners that have no effect; of consecutive ones, the first may stay."""
    # Composition may reorder marks, and so change what precedes a joiner.
    while (left := _JOINER_RUN.sub(lambda run: run[0][0] if _is_needed(run) else "", text)) != text:
        text = unicodedata.normalize("NFC", left)
    return text


def needed_places(text: str) -> set[int]:
    """Positions of joiners and zero-width spaces that change how the text is read."""
    joiners = {run.start() for run in _JOINER_RUN.finditer(text) if _is_needed(run)}
    return joiners | {separator.start() for separator in _WORD_SEPARATOR.finditer(text)}


def _is_needed(run: re.Match[str]) -> bool:
    """Whether a joiner is after a virama, or inside a word with a letter of a joined script on at least one side."""
    before, after = run.string[max(run.start() - 1, 0) : run.start()], run.string[run.end() : run.end() + 1]
    if not before:
        return False
    if unicodedata.combining(before) == _VIRAMA:
        return True
    inside = bool(after) and is_word_character(before) and is_word_character(after)
    return inside and (before in _JOINED or after in _JOINED)


class _Equivalents(dict[int, str]):
    """Code point -> its replacement in `unified` text, computed on first use."""

    def __missing__(self, number: int) -> str:
        self[number] = written = _equivalent(chr(number))
        return written


def _equivalent(character: str) -> str:
    if character in _APOSTROPHES:
        return "'"
    if character in _SPELLED_OUT:
        return _SPELLED_OUT[character]
    if unicodedata.category(character) == "Cf":
        return character if character in JOINERS + _ZERO_WIDTH_SPACE else ""
    kind, _, numbers = unicodedata.decomposition(character).rpartition(">")
    if not numbers or character in _OWN_LETTERS or f"{kind}>" in _NOT_EQUIVALENT:
        return character
    parts = "".join(_equivalent(chr(int(number, 16))) for number in numbers.split())
    if is_word_character(character):  # the number of "⑴" without its brackets, the mark of "ﹰ" without its space
        return "".join(part for part in parts if part == " " or is_word_character(part)).strip()
    return character if parts.startswith(" ") and len(parts) > 1 else parts


_EQUIVALENTS = _Equivalents()
