"""Which vocabulary a new CTC head has: characters where the frames allow it, or pieces of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from speechxfer.data.vocabulary import Pieces, Vocabulary, frames_needed
from speechxfer.errors import DataError
from speechxfer.heads.ctc.settings import CTCConfig

#: The fraction of utterances whose text has to fit its frames.
WANTED = 0.995
#: Characters a second: a text with more of them is not that of its recording, so it decides nothing.
FASTEST = 40.0
#: Numbers of pieces that are tried, smallest first. Fewer made more errors, even if they fit (scripts.bench.subwords).
SIZES = tuple(256 << power for power in range(6))


#: Utterances: each a normalized text, and how many hidden states there are to spell it.
Spoken = Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Choice:
    """Pieces for a new head, or None for characters, and the reason in a line; empty where there was no choice."""

    pieces: Pieces | None
    reason: str = ""


def choose(utterances: Spoken, frame_rate: float, config: CTCConfig) -> Choice:
    """The vocabulary that the settings ask for; if they leave it open, one that fits the frames.

    Characters are chosen if they fit the frames of 99.5 % of the utterances, or if no pieces fit more of them.
    Otherwise the fewest pieces are chosen that fit 99.5 % of the utterances, or as many as can be fitted.

    Args:
        utterances: of training, each a text and its number of hidden states.
        frame_rate: hidden states a second.
        config: of the head.

    Raises:
        DataError: the texts do not support as many pieces, or have more characters than there are to be pieces.
    """
    spoken = [(text, frames) for text, frames in utterances if len(text) <= FASTEST * frames / frame_rate]
    is_open = config.units == "auto" and not config.vocabulary_size
    by_characters = fitting(None, spoken)
    if config.units == "characters" or not spoken or (is_open and by_characters >= WANTED):
        return Choice(None)
    pieces = Pieces.trained((text for text, _ in spoken), config.vocabulary_size or SIZES[-1])
    if config.vocabulary_size:
        _check_size(pieces, config.vocabulary_size)
    else:
        pieces = _smallest(pieces, spoken)
    by_pieces = fitting(pieces, spoken)
    fits = f"characters fit the frames of {by_characters:.1%} of the training utterances"
    if is_open and by_pieces <= by_characters:
        return Choice(None, f"{fits}, and pieces of words of no more")
    return Choice(
        pieces, f"{len(pieces.symbols)} {pieces.units} by byte-pair encoding: {fits}, these of {by_pieces:.1%}"
    )


def fitting(vocabulary: Vocabulary | None, spoken: Spoken) -> float:
    """The fraction of utterances with enough frames for their text; None for the characters of the text."""
    needed = frames_needed if vocabulary is None else vocabulary.frames_needed
    return sum(needed(text) <= frames for text, frames in spoken) / max(len(spoken), 1)


def _smallest(trained: Pieces, spoken: Spoken) -> Pieces:
    """The fewest pieces that fit as many utterances as wanted, or as all pieces fit."""
    wanted = min(WANTED, fitting(trained, spoken))
    candidates = (trained.shortened(size) for size in SIZES)
    return next((pieces for pieces in candidates if fitting(pieces, spoken) >= wanted), trained)


def _check_size(trained: Pieces, wanted: int) -> None:
    characters = len(trained.alphabet)
    if len(trained.symbols) < wanted:
        raise DataError(f"ctc.vocabulary_size is {wanted}, but the training text supports {len(trained.symbols)} pieces of words at most (each occurs twice); lower it, or leave it out to have it chosen")  # fmt: skip  # noqa: E501
    if characters > wanted:
        raise DataError(f"ctc.vocabulary_size is {wanted}, but the training text has {characters} characters, each of which is a piece; wanted {characters} or more, or leave it out to have it chosen")  # fmt: skip  # noqa: E501
