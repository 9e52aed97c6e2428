"""Checks of one text by itself: suspicious characters."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from speechxfer.data.characters import needed_places

#: Alphabets whose letters look alike; a word in two of them may have been typed with the wrong keyboard.
_LOOK_ALIKE = ("LATIN", "CYRILLIC", "GREEK")
_WORD = re.compile(r"[^\W\d_]+")
#: White space that people type; other white space comes from programs.
_USUAL_SPACE = " \t\n\r\u00a0\u2002\u2003\u2009\u202f\u3000"
_JOINER = "\u200d"
#: First characters of European letters whose UTF-8 was decoded as Latin-1.
_MISREAD_PAIR = re.compile("[ÂÃ]|[ÄÅ][^»\u00a0]")


def faults(text: str) -> Iterator[tuple[str, str]]:
    """(kind, what) of everything suspicious in the characters of a text."""
    if text.isascii() and text.isprintable():
        return
    if not unicodedata.is_normalized("NFC", text):
        yield "unicode", "text with characters in two pieces, such as a letter and its accent (not in the form NFC)"
    if hidden := {text[position] for position in _hidden_positions(text)}:
        yield "unicode", f"text with invisible or meaningless characters: {', '.join(map(_described, sorted(hidden)))}"
    if (misread := _misread(text)) is not None:
        yield "unicode", f"text that is UTF-8 read as Latin-1: {_shown(text)} for {_shown(misread)}"
    if unreadable := sorted(set(filter(_is_unreadable, text))):
        yield "unreadable-character", f"text with characters that cannot be read: {', '.join(map(_described, unreadable))}"  # fmt: skip  # noqa: E501


def repaired(text: str) -> str:
    """The text in NFC, without invisible characters, and with a wrong decoding undone.

    Joiners that the script needs stay, and so do unreadable characters.
    """
    misread = _misread(text)
    text = text if misread is None else misread
    # Composition may change what joiners join.
    while (left := unicodedata.normalize("NFC", _without_hidden(text))) != text:
        text = left
    return re.sub(" +", " ", text).strip()


def _without_hidden(text: str) -> str:
    hidden = _hidden_positions(text)
    written = {position: " " if text[position].isspace() else "" for position in hidden}
    kept = (written.get(position, character) for position, character in enumerate(text))
    return "".join(kept) if hidden else text


@dataclass(frozen=True, slots=True)
class Mixture:
    """A word with letters of two similar alphabets, and the letters that are not of the text's main alphabet."""

    word: str
    scripts: tuple[str, ...]
    foreign: frozenset[str]


def mixture(text: str) -> Mixture | None:
    """The first such word of a text, with the foreign letters of all of them."""
    if text.isascii():
        return None
    mixed = [word for word in _WORD.findall(text) if len(_scripts(word)) > 1]
    if not mixed:
        return None
    most = Counter(script for character in text if (script := _script(character)))
    foreign: set[str] = set()
    for word in mixed:
        own = max(_scripts(word), key=lambda script: most[script])
        foreign |= {character.lower() for character in word if _script(character) not in (own, None)}
    return Mixture(mixed[0], tuple(_scripts(mixed[0])), frozenset(foreign))


def _scripts(word: str) -> list[str]:
    return sorted({script for character in word if (script := _script(character))})


def _hidden_positions(text: str) -> set[int]:
    hidden = {position for position, character in enumerate(text) if _is_hidden(character)}
    if not hidden:
        return hidden
    return hidden - needed_places(text) - {position for position in hidden if _joins_emoji(text, position)}


def _joins_emoji(text: str, position: int) -> bool:
    """Whether a joiner joins two symbols into one emoji; a variation selector may follow the first."""
    before = text[:position].removesuffix("\ufe0f")[-1:]
    around = (before, text[position + 1 : position + 2])
    return text[position] == _JOINER and all(one and unicodedata.category(one) in ("So", "Sk") for one in around)


def _is_hidden(character: str) -> bool:
    if character.isspace():
        return character not in _USUAL_SPACE
    return unicodedata.category(character) in ("Cc", "Cf")


def _is_unreadable(character: str) -> bool:
    return character == "\ufffd" or unicodedata.category(character) in ("Cn", "Co")


def _misread(text: str) -> str | None:
    """The text before its UTF-8 was decoded in another encoding; None if that did not happen."""
    if text.isascii():
        return None
    for encoding in ("latin-1", "cp1252"):
        try:
            found = text.encode(encoding).decode()
        except UnicodeError:
            continue
        # A single pair may be a letter and punctuation, as in CAFÉ».
        return found if len(text) - len(found) > 1 or _MISREAD_PAIR.search(text) else None
    return None


@functools.lru_cache(maxsize=4096)
def _script(character: str) -> str | None:
    """One of the look-alike alphabets; None for other characters."""
    name = unicodedata.name(character, "").split(" ")[0] if character.isalpha() else ""
    return name.capitalize() if name in _LOOK_ALIKE else None


def _described(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, 'without a name').lower()}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
