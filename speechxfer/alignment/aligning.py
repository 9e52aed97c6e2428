"""A path through a script as an alignment: words with times and confidences, and what differs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from speechxfer.alignment.emissions import Emissions
from speechxfer.alignment.paths import Path, Prices
from speechxfer.alignment.result import Alignment, Kind, Mismatch
from speechxfer.alignment.script import Script
from speechxfer.alignment.times import Times, word_times
from speechxfer.data.characters import joined
from speechxfer.decoding.greedy import collapse
from speechxfer.decoding.hypothesis import Word
from speechxfer.inference.transcript import Segment, Transcript, text_of

#: Frames of sound without text are one stretch, if less time is between them; and how many a stretch has at least.
_SAME_STRETCH_S, _LEAST_FRAMES = 0.5, 3


def alignment(
    emissions: Emissions, script: Script, path: Path, written: list[str], prices: Prices, *, source: str | None = None,
    characters: bool = False,
) -> Alignment:  # fmt: skip
    """What a path means.

    A confidence is how likely the symbols are relative to the most likely ones, as a geometric mean over the symbols;
    that of a line counts what it costs that words were skipped and that sound has no text, too.

    Args:
        emissions: of the recording.
        script: that was aligned with it.
        path: that was found.
        written: what each symbol writes.
        prices: with which the path was found.
        source: of the transcript.
        characters: whether the times of characters are wanted.
    """
    found = _Reading(emissions, script, path, written, prices)
    segments, lines = found.segments()
    text = text_of(segments)
    mismatches = sorted([*found.not_said(), *found.no_text()], key=lambda one: (one.start, one.end))
    return Alignment(
        Transcript(text, segments, emissions.duration, source),
        tuple(mismatches),
        len(found.times.word) / max(len(script), 1),
        lines,
        tuple(found.characters()) if characters else None,
    )


@dataclass
class _Reading:
    """The same arguments as `alignment`."""

    emissions: Emissions
    script: Script
    path: Path
    written: list[str]
    prices: Prices

    def __post_init__(self) -> None:
        self.times: Times = word_times(self.emissions, self.path)
        self._costs = np.append(0.0, np.cumsum(self.path.cost, dtype=np.float64))
        self._lengths = np.array([max(len(symbols), 1) for symbols in self.script.symbols])

    def _words(self) -> list[Word]:
        """The words that were found."""
        costs = self._costs[self.times.last + 1] - self._costs[self.times.first]
        confidences = np.exp(-costs / self._lengths[self.times.word])
        columns = (self.times.word, self.times.start, self.times.end, confidences)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [Word(self.script.words[word], start, end, confidence) for word, start, end, confidence in rows]

    def segments(self) -> tuple[tuple[Segment, ...], tuple[int, ...]]:
        """One for each line of which a word was found, and the numbers of these lines."""
        words, lines = self._words(), self.script.line[self.times.word]
        edges = np.flatnonzero(np.diff(lines, prepend=-1, append=-1)).tolist()
        first_words = np.searchsorted(self.script.line, np.arange(len(self.script.lines) + 1))
        found = []
        for start, stop in itertools.pairwise(edges):
            own, line = tuple(words[start:stop]), int(lines[start])
            lengths = self._lengths[first_words[line] : first_words[line + 1]]
            said = self._lengths[self.times.word[start:stop]].sum()
            cost = self._costs[self.times.last[stop - 1] + 1] - self._costs[self.times.first[start]]
            cost += self.prices.symbol * (lengths.sum() - said)
            text = joined(word.text for word in own)
            found.append(Segment(own[0].start, own[-1].end, text, own, math.exp(-cost / lengths.sum())))
        return tuple(found), tuple(int(lines[start]) for start in edges[:-1])

    def not_said(self) -> Iterator[Mismatch]:
        """Skipped words, as many as follow one another in a line."""
        skipped = np.setdiff1d(np.arange(len(self.script)), self.times.word)
        keys = np.stack([np.searchsorted(self.times.word, skipped), self.script.line[skipped]])
        edges = np.flatnonzero(np.diff(keys, prepend=-1, append=-1).any(axis=0)).tolist()
        for first, stop in itertools.pairwise(edges):
            after, line = keys[:, first].tolist()
            text = joined(self.script.words[word] for word in skipped[first:stop])
            start = float(self.times.end[after - 1]) if after else 0.0
            end = float(self.times.start[after]) if after < len(self.times.start) else self.emissions.duration
            yield Mismatch(Kind.NOT_SAID, start, max(end, start), text, self.script.lines[line].origin)

    def no_text(self) -> Iterator[Mismatch]:
        """Stretches of sound of which the script has no words."""
        frames = np.flatnonzero(self.path.star)
        starts, after = self.emissions.starts[frames], np.searchsorted(self.times.first, frames)
        apart = (np.diff(starts) >= _SAME_STRETCH_S) | (np.diff(after) != 0)
        for part in np.split(frames, np.flatnonzero(apart) + 1):
            if len(part) >= _LEAST_FRAMES:
                first, last = int(part[0]), int(part[-1])
                end = float(self.emissions.starts[last]) + self.emissions.frame_s
                start = float(self.emissions.starts[first])
                yield Mismatch(Kind.NO_TEXT, start, end, self._recognized(first, last + 1))

    def _recognized(self, start: int, stop: int) -> str:
        """What the model writes for some frames."""
        path = self.emissions.path[max(start - 1, 0) : stop + 1].tolist()
        text = "".join(self.written[symbol.number] for symbol in collapse(path, [0.0] * len(path), 0))
        return " ".join(text.split())

    def characters(self) -> Iterator[tuple[Word, ...]]:
        """Of each word that was found; two characters meet in the middle of what is between them."""
        columns = (self.times.word, self.times.first, self.times.last, self.times.start, self.times.end)
        for word, first, last, start, end in zip(*(column.tolist() for column in columns), strict=True):
            places = self.path.symbol[first : last + 1]
            frames = np.flatnonzero(places >= 0)
            numbers, begins = np.unique(places[frames], return_index=True)
            ends = frames[np.append(begins[1:], len(frames)) - 1] + 1
            middles = first + (frames[begins[1:]] + ends[:-1]) / 2
            bounds = np.interp(middles, np.arange(len(self.emissions)), self.emissions.starts)
            bounds = np.clip(np.concatenate([[start], bounds, [end]]), start, end).tolist()
            symbols = self.script.symbols[word]
            yield tuple(
                Word(self.written[symbols[number]].strip() if symbols else self.script.words[word], *span)
                for number, span in zip(numbers.tolist(), itertools.pairwise(bounds), strict=True)
            )
