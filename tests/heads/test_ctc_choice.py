"""Characters where the frames allow it, and otherwise as few pieces as fit."""

from __future__ import annotations

import pytest

from speechxfer.data.vocabulary import Characters, Pieces
from speechxfer.errors import DataError
from speechxfer.heads.ctc.choice import SIZES, Spoken, choose, fitting
from speechxfer.heads.ctc.settings import CTCConfig

RATE = 12.5
WORDS = ["please", "enter", "your", "number", "then", "press", "one", "to", "speak", "with", "somebody", "who", "can"]
WORDS += ["help", "you", "now", "or", "wait"]


def spoken(frames_a_character: float, count: int = 400) -> Spoken:
    """Utterances of three words each, with so many frames for each character."""
    texts = [" ".join(WORDS[(number * step) % len(WORDS)] for step in (1, 3, 7)) for number in range(count)]
    return [(text, int(len(text) * frames_a_character)) for text in texts]


def test_characters_are_chosen_where_they_fit() -> None:
    choice = choose(spoken(2.0), RATE, CTCConfig())
    assert (choice.pieces, choice.reason) == (None, "")


def test_as_few_pieces_as_fit_are_chosen_where_characters_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = (32, 40, 48, 56, 64, 72, 80)
    monkeypatch.setattr("speechxfer.heads.ctc.choice.SIZES", sizes)
    utterances = spoken(0.5)
    choice = choose(utterances, RATE, CTCConfig())
    assert choice.pieces is not None
    assert fitting(choice.pieces, utterances) >= 0.995
    size = len(choice.pieces.symbols)
    smaller = [Pieces.trained([text for text, _ in utterances], one) for one in sizes if one < size]
    assert smaller
    assert all(fitting(one, utterances) < 0.995 for one in smaller)
    assert choice.reason == (
        f"{size} pieces of words by byte-pair encoding: characters fit the frames of 0.0% of the training utterances, "
        f"these of {fitting(choice.pieces, utterances):.1%}"
    )


def test_one_utterance_in_a_thousand_decides_nothing() -> None:
    short = [(WORDS[0], 3)]
    assert choose([*spoken(2.0, 999), *short], RATE, CTCConfig()).pieces is None
    assert choose([*spoken(2.0, 99), *short], RATE, CTCConfig()).pieces is not None


def test_a_text_that_nobody_can_have_spoken_decides_nothing() -> None:
    wrong = [("press one " * 50, 5)] * 20
    assert choose([*spoken(2.0), *wrong], RATE, CTCConfig()).pieces is None
    with_wrong, without = (choose(some, RATE, CTCConfig()) for some in ([*spoken(0.5), *wrong], spoken(0.5)))
    assert with_wrong.pieces is not None
    assert without.pieces is not None
    assert with_wrong.pieces.to_dict() == without.pieces.to_dict()


def test_characters_stay_where_pieces_fit_no_more() -> None:
    """Texts that nothing shortens: no pair of letters occurs twice."""
    utterances = [("ab", 1), ("cd", 1), ("e", 1)]
    choice = choose(utterances, RATE, CTCConfig())
    assert choice.pieces is None
    assert choice.reason.endswith("and pieces of words of no more")


def test_what_is_asked_for_is_done() -> None:
    utterances = spoken(2.0)
    assert choose(spoken(0.5), RATE, CTCConfig(units="characters")).pieces is None
    pieces = choose(utterances, RATE, CTCConfig(units="pieces")).pieces
    assert pieces is not None
    assert pieces.to_dict() == Pieces.trained([text for text, _ in utterances], SIZES[0]).to_dict()
    for units in ("auto", "pieces"):
        sized = choose(utterances, RATE, CTCConfig(units=units, vocabulary_size=40)).pieces
        assert sized is not None
        assert sized.to_dict() == Pieces.trained([text for text, _ in utterances], 40).to_dict()
    assert choose([], RATE, CTCConfig(units="pieces")).pieces is None


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (5000, r"vocabulary_size is 5000, but the training text supports \d+ pieces of words at most"),
        (5, r"vocabulary_size is 5, but the training text has (\d+) characters, .* wanted \1 or more"),
    ],
)
def test_a_size_that_the_text_does_not_support_is_reported(size: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        choose(spoken(2.0), RATE, CTCConfig(vocabulary_size=size))


def test_what_fits_is_what_ctc_can_spell() -> None:
    utterances = [("aab", 4), ("aab", 3)]
    assert fitting(None, utterances) == fitting(Characters("ab"), utterances) == 0.5
