"""Joins the transcripts of two segments that overlap: each word of what they share is kept once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from speechxfer.data.characters import is_unspaced
from speechxfer.decoding.hypothesis import Word
from speechxfer.inference.transcript import SHORTEST_WORD_S, Segment

_FURTHEST_S = 1.0  # between the times that two segments give the same word
_ESTIMATE_S = 4.0  # by which times may be wrong that are estimated from the number of characters


@dataclass(frozen=True, slots=True)
class _Unit:
    """A word of a text: where it stands there, and when it is said."""

    begin: int
    end: int
    start_s: float
    end_s: float

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


def join(left: Segment, right: Segment, shared: tuple[float, float]) -> tuple[Segment, Segment]:
    """Two segments of which each word stands in one: the seam follows a word on which both agree.

    A word at the edge of a segment may have been cut; so the seam is in the middle of what both agree on, and where
    they agree on no word, in the middle of what they share. A segment without word times gets them by the number of
    characters.

    Args:
        left: the earlier segment.
        right: the later one; all times are seconds from the beginning of the recording.
        shared: from when to when both segments cover the recording.
    """
    if not left.text or not right.text:
        return left, right
    before, after = _units(left), _units(right)
    slack_s = 0.0 if left.words and right.words else _ESTIMATE_S
    pair = _agreed(left, right, before, after, shared, slack_s)
    if pair:
        kept, begins = pair[0] + 1, pair[1] + 1
    else:
        middle_s = sum(shared) / 2
        kept = sum(unit.middle_s < middle_s for unit in before)
        after_s = max([middle_s, *(unit.end_s for unit in before[:kept])])
        begins = sum(unit.middle_s < after_s for unit in after)
    left = _part(left, before[:kept])
    right = _part(right, after[begins:])
    return left, _beginning_at(left.end, right) if left.text and right.text else right


def _units(segment: Segment) -> list[_Unit]:
    """The words of a segment's text."""
    found: list[_Unit] = []
    begin = 0
    for word in segment.words:
        begin = segment.text.find(word.text.strip(), begin)
        if begin < 0:
            break
        found.append(_Unit(begin, begin := begin + len(word.text.strip()), word.start, word.end))
    if found and begin >= 0:
        return found
    pace_s = (segment.end - segment.start) / max(len(segment.text), 1)
    return [
        _Unit(begin, end, segment.start + begin * pace_s, segment.start + end * pace_s)
        for begin, end in _spans(segment.text)
    ]


def _spans(text: str) -> list[tuple[int, int]]:
    """Where words begin and end; of scripts without spaces between words, each character is one."""
    apart = [place for place in range(1, len(text)) if any(_stands_alone(one) for one in text[place - 1 : place + 1])]
    bounds = itertools.pairwise([0, *apart, len(text)])
    return [(begin, end) for begin, end in bounds if text[begin:end].strip()]


def _stands_alone(character: str) -> bool:
    return character.isspace() or is_unspaced(character)


def _agreed(
    left: Segment, right: Segment, before: Sequence[_Unit], after: Sequence[_Unit], shared: tuple[float, float],
    slack_s: float,
) -> tuple[int, int] | None:  # fmt: skip
    """The middle of the longest run of words that both texts have at about the same time, in what they share."""
    first = sum(unit.end_s < shared[0] - slack_s for unit in before)
    size = sum(unit.start_s <= shared[1] + slack_s for unit in after)
    texts = [_plain(left.text, unit) for unit in before[first:]], [_plain(right.text, unit) for unit in after[:size]]
    runs = [
        [(first + match.a + place, match.b + place) for place in range(match.size)]
        for match in SequenceMatcher(None, *texts, autojunk=False).get_matching_blocks()
    ]
    near = [[(a, b) for a, b in run if abs(before[a].middle_s - after[b].middle_s) <= _FURTHEST_S + slack_s] for run in runs]  # fmt: skip  # noqa: E501
    longest = max(near, key=len)
    return longest[len(longest) // 2] if longest else None


def _plain(text: str, unit: _Unit) -> str:
    """A word without case and punctuation."""
    word = text[unit.begin : unit.end].casefold()
    return "".join(filter(str.isalnum, word)) or word


def _part(segment: Segment, kept: Sequence[_Unit]) -> Segment:
    """The segment with some of its words, which follow one another; without text where there are none."""
    if not kept:
        return replace(segment, text="", words=())
    start_s, end_s = kept[0].start_s, kept[-1].end_s
    words = tuple(word for word in segment.words if start_s <= word.start and word.end <= end_s)
    return Segment(start_s, end_s, segment.text[kept[0].begin : kept[-1].end], words, segment.confidence)


def _beginning_at(start_s: float, segment: Segment) -> Segment:
    """A segment whose times are not before the end of the one before it."""
    words: list[Word] = []
    for word in segment.words:
        begin_s = max(word.start, start_s)
        words.append(replace(word, start=begin_s, end=max(word.end, begin_s + SHORTEST_WORD_S)))
        start_s = begin_s
    begin_s = words[0].start if words else max(segment.start, start_s)
    end_s = max(segment.end, begin_s + SHORTEST_WORD_S, *(word.end for word in words))
    return replace(segment, start=begin_s, end=end_s, words=tuple(words))
