"""What an alignment found: a transcript with times, and where recording and script differ."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from speechxfer.decoding.hypothesis import Word
from speechxfer.errors import DataError
from speechxfer.inference.transcript import Transcript


class Kind(StrEnum):
    """How recording and script differ."""

    #: Words of the script that the recording lacks.
    NOT_SAID = "not said"
    #: Speech that the script lacks.
    NO_TEXT = "no text"
    #: A line that is left out of a manifest, because its confidence is low.
    DOUBTFUL = "doubtful"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A place where recording and script differ, in seconds; what is not said stands between the words around it.

    `text` is that of the script, and what the model recognizes where the script has no text; `origin` is the script's
    line: "talk.txt:12".
    """

    kind: Kind
    start: float
    end: float
    text: str
    origin: str = ""
    #: The recording's name in a manifest.
    audio: str = ""

    def __str__(self) -> str:
        origin = f" ({self.origin})" if self.origin else ""
        audio = f"{self.audio}, " if self.audio else ""
        return f"{audio}{self.start:.2f} to {self.end:.2f} s, {self.kind}: {self.text!r}{origin}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times rounded to milliseconds."""
        found = {"kind": str(self.kind), "start": round(self.start, 3), "end": round(self.end, 3), "text": self.text}
        return found | {name: value for name in ("origin", "audio") if (value := getattr(self, name))}


@dataclass(frozen=True, slots=True)
class Alignment:
    """A script with times.

    Attributes:
        transcript: the words that were found, as the script writes them, a segment for each of its lines.
        mismatches: in the order of their times.
        matched: fraction of the script's words that were found.
        lines: the script's line of each segment, counted from 0.
        characters: for each word of the transcript in order, its characters as the model spells them, where they were
            asked for.
    """

    transcript: Transcript
    mismatches: tuple[Mismatch, ...]
    matched: float
    lines: tuple[int, ...]
    characters: tuple[tuple[Word, ...], ...] | None = None

    def check_matched(self, least: float, audio: str, text: str) -> None:
        """Look whether recording and text belong together.

        Raises:
            DataError: a smaller fraction of the words was found.
        """
        if self.matched < least:
            raise DataError(
                f"{audio} does not match {text}: {self.matched:.0%} of the words were found; wanted {least:.0%}; "
                "is it of another recording or in another language, or is nothing said?"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: those of the transcript, and what differs."""
        found = self.transcript.to_dict()
        if self.characters is not None:
            words = (word for segment in found["segments"] for word in segment["words"])
            for word, characters in zip(words, self.characters, strict=True):
                word["characters"] = [{"text": one.text, "start": round(one.start, 3), "end": round(one.end, 3)} for one in characters]  # fmt: skip  # noqa: E501
        differing = [mismatch.to_dict() for mismatch in self.mismatches]
        return {**found, "matched": round(self.matched, 4), "mismatches": differing}
