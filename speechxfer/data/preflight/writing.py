"""What can be told of one text by itself: characters that are not what they look like."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator

#: Alphabets whose letters look alike; a word in two of them was typed with the wrong keyboard.
_LOOK_ALIKE = ("LATIN", "CYRILLIC", "GREEK")
#: Joiners that Persian and the scripts of India need between letters.
_JOINERS = "\u200c\u200d"


def faults(text: str) -> Iterator[tuple[str, str]]:
    """(kind, what) of everything suspicious in a text."""
    if text.isascii() and text.isprintable():
        return
    if not unicodedata.is_normalized("NFC", text):
        yield "unicode", "text with characters in two pieces, such as a letter and its accent (not in the form NFC)"
    if hidden := sorted({character for character in text if _is_hidden(character, text)}):
        yield "unicode", f"text with invisible or meaningless characters: {', '.join(map(_described, hidden))}"
    if (misread := _misread(text)) is not None:
        yield "unicode", f"text that is UTF-8 read as Latin-1: {_shown(text)} for {_shown(misread)}"
    for word in text.split():
        if len(scripts := {script for character in word if (script := _script(character))}) > 1:
            yield "mixed-scripts", f"the word {word!r} has {' and '.join(sorted(scripts))} letters"
            return


def mended(text: str) -> str:
    """The text composed, without invisible characters and read in the encoding it was written in."""
    misread = _misread(text)
    text = text if misread is None else misread
    kept = ("" if _is_hidden(character, text) else character for character in " ".join(text.split()))
    return unicodedata.normalize("NFC", "".join(kept))


def _is_hidden(character: str, text: str) -> bool:
    if character.isspace():
        return character not in " \t\n\r\u00a0\u2002\u2003\u2009\u202f\u3000"
    if character in _JOINERS:
        return text.replace(character, "").isascii() or any(map(_script, text))
    return character == "\ufffd" or unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co")


def _misread(text: str) -> str | None:
    """What the text was before its bytes were taken for another encoding, None if that did not happen."""
    if text.isascii():
        return None
    for encoding in ("latin-1", "cp1252"):
        try:
            return text.encode(encoding).decode()
        except UnicodeError:
            continue
    return None


@functools.lru_cache(maxsize=4096)
def _script(character: str) -> str | None:
    """One of the look-alike alphabets, None for all other characters."""
    name = unicodedata.name(character, "").split(" ")[0] if character.isalpha() else ""
    return name.capitalize() if name in _LOOK_ALIKE else None


def _described(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, 'without a name').lower()}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
