"""Whether what a decoder wrote can be what was said: loops, and tokens that it doubts itself."""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Sequence

from speechxfer.decoding.search import Written

#: Text that compresses by more than this repeats itself, and a mean log-probability a token below this is a guess
#: (Radford et al., 2022, section 4.5).
_MOST_COMPRESSED, _LEAST_CERTAIN = 2.4, -1.0
#: How often the same tokens in a row make a loop, and of how many tokens such a turn is at most.
_TURNS, _LONGEST_TURN = 4, 12
#: Of how many tokens a phrase is at least that stands twice at the end of a text in doubt.
_PHRASE = 4
#: The fastest speech, and how many letters a character stands for in Chinese, Japanese and Korean writing.
_MOST_LETTERS_A_SECOND, _LETTERS_IN_WIDE = 30, 3


def compression_ratio(text: str) -> float:
    """How much shorter a text becomes by zlib; 1 for an empty text."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 1.0


def is_doubtful(written: Written, text: str, seconds: float) -> bool:
    """Whether a sequence with this text is likely wrong for so much sound, so that another try is worth its time.

    It is if the model is not certain of its tokens, which is counted without loops, because a loop makes itself
    certain. It also is if it repeats itself and cannot be what was said.
    """
    once = without_loops(written)
    repeats = len(once.tokens) < len(written.tokens) or compression_ratio(text) > _MOST_COMPRESSED
    return once.mean_log_probability < _LEAST_CERTAIN or (repeats and not can_be_said(written, text, seconds))


def can_be_said(written: Written, text: str, seconds: float) -> bool:
    """Whether repetitions in this text may be what a speaker said.

    The model must have ended the sequence (in a loop it runs to its limit), be certain of it, and have had the time:
    people say "no no no no" and go on, but not three sentences in the time of one.
    """
    letters = sum(_LETTERS_IN_WIDE if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
    in_time = letters <= _MOST_LETTERS_A_SECOND * seconds
    return written.ended and in_time and written.mean_log_probability >= _LEAST_CERTAIN


def without_loops(written: Written) -> Written:
    """The sequence with the turn of each loop written once; what comes before and after a loop stays.

    Of a sequence that did not end, a turn that broke off at the end belongs to the loop.
    """
    places = list(range(len(written.tokens)))
    while True:
        tokens = [written.tokens[place] for place in places]
        kept = _first_loop_once(tokens, ended=written.ended)
        if len(kept) == len(places):
            return _only(written, places)
        places = [places[place] for place in kept]


def without_echo(written: Written) -> Written:
    """The sequence without a phrase at its end that repeats, once or more, whole or begun, what it comes after.

    Only for text that cannot have been said: people repeat themselves too.
    """
    tokens = written.tokens
    for start in range(len(tokens)):
        for size in range(_PHRASE, (len(tokens) - start) // 2 + 1):
            if all(tokens[place] == tokens[place - size] for place in range(start + size, len(tokens))):
                return _only(written, range(start + size))
    return written


def _first_loop_once(tokens: Sequence[int], *, ended: bool) -> list[int]:
    """The places of the tokens that stay when the first loop is written once; all of them if there is none."""
    for start in range(len(tokens)):
        for size in range(1, min(_LONGEST_TURN, (len(tokens) - start) // _TURNS) + 1):
            stop = start + size
            while stop < len(tokens) and tokens[stop] == tokens[stop - size]:
                stop += 1
            if stop - start >= _TURNS * size:
                whole = stop - (stop - start) % size
                after = stop if stop == len(tokens) and not ended else whole
                return [*range(start + size), *range(after, len(tokens))]
    return list(range(len(tokens)))


def _only(written: Written, places: Sequence[int]) -> Written:
    """The sequence with the tokens at these places, and its end if it has one."""
    ends = range(len(written.tokens), len(written.log_probabilities))
    return Written(
        tuple(written.tokens[place] for place in places),
        tuple(written.log_probabilities[place] for place in (*places, *ends)),
        written.ended,
    )
