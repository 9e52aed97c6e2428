"""Whether what a decoder wrote can be what was said: loops, and tokens that it doubts itself."""

from __future__ import annotations

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


def compression_ratio(text: str) -> float:
    """How much shorter a text becomes by zlib; that of nothing is 1."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 1.0


def is_doubtful(written: Written, text: str) -> bool:
    """Whether a sequence with this text had better be tried again."""
    loops = len(without_loop(written.tokens)) < len(written.tokens)
    return loops or compression_ratio(text) > _MOST_COMPRESSED or written.mean_log_probability < _LEAST_CERTAIN


def without_loop(tokens: Sequence[int]) -> tuple[int, ...]:
    """The tokens up to the end of the first turn of a loop, or all of them."""
    for start in range(len(tokens)):
        for size in range(1, min(_LONGEST_TURN, (len(tokens) - start) // _TURNS) + 1):
            turn = tokens[start : start + size]
            if all(tokens[start + size * n : start + size * (n + 1)] == turn for n in range(1, _TURNS)):
                return tuple(tokens[: start + size])
    return tuple(tokens)


def without_echo(tokens: Sequence[int]) -> tuple[int, ...]:
    """The tokens without a phrase at their end that says again, once or more, whole or begun, what it comes after.

    Only for text that is doubted already: people repeat themselves too.
    """
    for start in range(len(tokens)):
        for size in range(_PHRASE, (len(tokens) - start) // 2 + 1):
            if all(tokens[place] == tokens[place - size] for place in range(start + size, len(tokens))):
                return tuple(tokens[: start + size])
    return tuple(tokens)
