"""Hallucination checks: loops in a decoder's output, and tokens that the model itself finds unlikely."""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Sequence

from speechxfer.decoding.search import TokenSequence

#: A text with a higher compression ratio repeats itself, and a sequence with a lower mean log-probability per token is
#: a guess (Radford et al., 2022, section 4.5).
_MAX_COMPRESSION_RATIO, _MIN_LOG_PROBABILITY = 2.4, -1.0
#: The number of repetitions in a row that makes a loop, and the most tokens in what is repeated.
_MIN_REPETITIONS, _MAX_LOOP_TOKENS = 4, 12
#: The fewest tokens of a phrase that counts as repeated at the end of a suspicious text.
_MIN_PHRASE_TOKENS = 4
#: The fastest speech, and how many letters a character of Chinese, Japanese and Korean writing stands for.
_MAX_LETTERS_A_SECOND, _LETTERS_IN_WIDE = 30, 3


def compression_ratio(text: str) -> float:
    """The length of a text over its length compressed by zlib; 1 for an empty text."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 1.0


def is_suspicious(sequence: TokenSequence, text: str, seconds: float) -> bool:
    """Whether a sequence with this text is likely wrong for audio of this duration, so that a retry is worth its time.

    It is if its tokens are unlikely, without counting loops, because a loop makes itself likely. It also is if it
    repeats itself and nobody can have spoken it in that time.
    """
    once = without_loops(sequence)
    repeats = len(once.tokens) < len(sequence.tokens) or compression_ratio(text) > _MAX_COMPRESSION_RATIO
    return once.mean_log_probability < _MIN_LOG_PROBABILITY or (repeats and not is_plausible(sequence, text, seconds))


def is_plausible(sequence: TokenSequence, text: str, seconds: float) -> bool:
    """Whether a speaker may have spoken the repetitions in this text.

    The model must have ended the sequence (in a loop it runs to its limit), its tokens must be likely, and the time
    must suffice: people say "no no no no" and go on, but not three sentences in the time of one.
    """
    letters = sum(_LETTERS_IN_WIDE if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
    in_time = letters <= _MAX_LETTERS_A_SECOND * seconds
    return sequence.ended and in_time and sequence.mean_log_probability >= _MIN_LOG_PROBABILITY


def without_loops(sequence: TokenSequence) -> TokenSequence:
    """The sequence with what each loop repeats kept once; tokens before and after a loop stay.

    If the sequence did not end, an incomplete repetition at its end belongs to the loop.
    """
    places = list(range(len(sequence.tokens)))
    while True:
        tokens = [sequence.tokens[place] for place in places]
        kept = _without_first_loop(tokens, ended=sequence.ended)
        if len(kept) == len(places):
            return _only(sequence, places)
        places = [places[place] for place in kept]


def without_repeated_ending(sequence: TokenSequence) -> TokenSequence:
    """The sequence without a phrase at its end that repeats the phrase before it, completely or in part.

    Only for text that is not plausible: people repeat themselves too.
    """
    tokens = sequence.tokens
    for start in range(len(tokens)):
        for size in range(_MIN_PHRASE_TOKENS, (len(tokens) - start) // 2 + 1):
            if all(tokens[place] == tokens[place - size] for place in range(start + size, len(tokens))):
                return _only(sequence, range(start + size))
    return sequence


def _without_first_loop(tokens: Sequence[int], *, ended: bool) -> list[int]:
    """The places of the tokens that stay when the first loop is kept once; all of them if there is no loop."""
    for start in range(len(tokens)):
        for size in range(1, min(_MAX_LOOP_TOKENS, (len(tokens) - start) // _MIN_REPETITIONS) + 1):
            stop = start + size
            while stop < len(tokens) and tokens[stop] == tokens[stop - size]:
                stop += 1
            if stop - start >= _MIN_REPETITIONS * size:
                complete = stop - (stop - start) % size
                after = stop if stop == len(tokens) and not ended else complete
                return [*range(start + size), *range(after, len(tokens))]
    return list(range(len(tokens)))


def _only(sequence: TokenSequence, places: Sequence[int]) -> TokenSequence:
    """The sequence with the tokens at these places, and its end if it has one."""
    ends = range(len(sequence.tokens), len(sequence.log_probabilities))
    return TokenSequence(
        tuple(sequence.tokens[place] for place in places),
        tuple(sequence.log_probabilities[place] for place in (*places, *ends)),
        sequence.ended,
    )
