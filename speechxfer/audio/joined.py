"""Several recordings in one file, as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from speechxfer.audio.completeness import judge
from speechxfer.audio.links import Link
from speechxfer.audio.options import Choice
from speechxfer.audio.pieces import Piece, Reader, shifted


class JoinedReader:
    """Several recordings in one file, as one; see `pieces.Reader`.

    Raises:
        AudioError: one of them is not audio.
    """

    #: What is promised of each is judged where it ends.
    promised_s: float | None = None
    lost_s = packet_s = 0.0

    def __init__(
        self,
        links: Sequence[Link],
        opened: Callable[[Link], AbstractContextManager[Reader]],
        name: str,
        choice: Choice,
    ) -> None:
        self._links, self._opened, self.name, self._choice = links, opened, name, choice
        with self._opened(links[0]) as first:
            self.rate, self.channels = first.rate, first.channels

    def length_s(self) -> float:
        """Of all together."""
        total = 0.0
        for link in self._links:
            with self._opened(link) as reader:
                total += reader.length_s()
        return total

    def pieces(self, first_s: float, stop_s: float | None) -> Iterator[Piece]:
        """One after the other; what lies before `first_s` is measured, not decoded."""
        offset_s = 0.0
        for link in self._links:
            with self._opened(link) as reader:
                begin_s = max(0.0, first_s - offset_s)
                if begin_s and (length_s := reader.length_s()) <= begin_s:
                    offset_s += length_s
                    continue
                end_s, own_stop_s = None, None if stop_s is None else stop_s - offset_s
                for piece in reader.pieces(begin_s, own_stop_s):
                    end_s = piece.stop / piece.rate
                    yield from shifted([piece], offset_s)
                if own_stop_s is not None and end_s is not None and end_s > own_stop_s - 1 / reader.rate:
                    return
                judge(reader, begin_s, end_s, None, self._choice)
                offset_s += end_s or 0.0
