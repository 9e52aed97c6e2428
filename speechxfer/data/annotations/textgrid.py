"""Read Praat's TextGrid files, long and short.

As in Praat, only strings in quotation marks and numbers that stand alone count. So both forms are the same sequence,
and everything else (`xmin =`, `item [1]:`) is a comment.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from speechxfer.data import textfiles
from speechxfer.data.annotations.tiers import Annotations, Interval, Tier, Warn, tier_of, tier_of_points
from speechxfer.errors import DataError

#: In a string, two quotation marks stand for one. A string without an end is the rest of its line.
_TOKEN = re.compile(
    r'"(?P<string>(?:[^"]|"")*+)"|(?<!\S)(?P<number>[-+]?\d{1,15}(?:\.\d*)?(?:[eE][-+]?\d{1,3})?)(?!\S)'
    r'|(?<!\S)!.*|(?P<endless>".*)'
)


class _DamagedError(Exception):
    """What stands in the place of something else, with its line."""


@dataclass
class _Tier:
    name: str
    is_of_points: bool
    intervals: list[Interval] = field(default_factory=list)


def read(path: Path, warn: Warn) -> Annotations:
    """Read a TextGrid; the points of a point tier are intervals that end where they start.

    Of a damaged file, what stands before the damage is used.

    Raises:
        DataError: the file cannot be read, is no TextGrid, or is damaged before its first interval.
    """
    tokens = _Tokens(path)
    tokens.skip_header()
    tiers: list[_Tier] = []
    try:
        _read_tiers(tokens, tiers.append)
    except _DamagedError as damage:
        if not any(tier.intervals for tier in tiers):
            raise DataError(f"{damage}; save it again in Praat (Save as text file)") from damage
        warn(f"{damage}; only what stands before it is used", "a damaged TextGrid")
    return Annotations(tuple(_usable(tier, warn) for tier in tiers))


def _usable(tier: _Tier, warn: Warn) -> Tier:
    return tier_of_points(tier.name, tier.intervals) if tier.is_of_points else tier_of(tier.name, tier.intervals, warn)


def _read_tiers(tokens: _Tokens, begun: Callable[[_Tier], None]) -> None:
    """Read all tiers; each is handed to `begun` before its intervals are read."""
    for _ in range(int(tokens.number("the number of tiers"))):
        kind = tokens.string('"IntervalTier" or "TextTier"')
        tier = _Tier(tokens.string("the name of a tier"), kind == "TextTier")
        begun(tier)
        where = f"in the tier {tier.name!r:.60}"
        tokens.number(f"a start {where}")
        tokens.number(f"an end {where}")
        for _ in range(int(tokens.number(f"the number of intervals {where}"))):
            start = tokens.number(f"the start of an interval {where}")
            end = start if tier.is_of_points else tokens.number(f"the end of an interval {where}")
            text = tokens.string(f"the text of an interval {where}")
            tier.intervals.append(Interval(start, end, text, origin=tokens.origin))


class _Tokens:
    """The strings and numbers of a file, one after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = textfiles.read(path)
        self._found = (one for one in _TOKEN.finditer(self._text) if one.lastgroup)
        self._line, self._position = 1, 0

    @property
    def origin(self) -> str:
        """The file and the line of the token that was read last."""
        return f"{self._path}:{self._line}"

    def skip_header(self) -> None:
        """Skip what stands before the tiers.

        Raises:
            DataError: it is not the beginning of a TextGrid.
        """
        wanted = "wanted a TextGrid as Praat writes it with Save as text file or Save as short text file"
        try:
            header = self.string("ooTextFile"), self.string("TextGrid")
            self.number("the start of the recording")
            self.number("the end of the recording")
        except _DamagedError as error:
            raise DataError(f"{error}; {wanted}") from error
        if not (header[0].startswith("ooTextFile") and header[1] == "TextGrid"):
            raise DataError(f"{self._path}: begins with {header[0]!r:.60} and {header[1]!r:.60}; {wanted}")

    def string(self, wanted: str) -> str:
        """The next token, which is a string."""
        return self._next("string", wanted).replace('""', '"')

    def number(self, wanted: str) -> float:
        """The next token, which is a number."""
        return float(self._next("number", wanted))

    def _next(self, kind: str, wanted: str) -> str:
        token = next(self._found, None)
        if token is None:
            raise _DamagedError(f"{self._path}: ends before {wanted}")
        self._line += self._text.count("\n", self._position, token.start())
        self._position = token.start()
        if token.lastgroup != kind:
            raise _DamagedError(f"{self.origin}: {token[0]!r:.60} where {wanted} belongs")
        return token[kind]
