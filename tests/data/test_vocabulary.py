"""Vocabularies spell texts exactly, whatever their symbols are."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters, Phonemes, Pieces, Vocabulary, frames_needed, restore_vocabulary
from speechxfer.errors import CheckpointError, DataError

TEXTS = ["the cat sat on the mat", "then the other cat", "l'été c'est ça", "a the"]
BPE = Pieces.trained(TEXTS, 60)
UNIGRAM = Pieces([*BPE.alphabet, " the", "at", "the"], scores=[-5.0] * len(BPE.alphabet) + [-1.0, -2.0, -1.5])
ACROSS = Pieces([*BPE.alphabet, " on the", " the"])
VOCABULARIES: dict[str, Vocabulary] = {
    "characters": Characters.from_texts(TEXTS),
    "several code points": Characters([*BPE.alphabet, "th", "the", "ça"]),
    "byte-pair encoding": BPE,
    "unigram": UNIGRAM,
    "longest piece": ACROSS,
    "extended": BPE.extended("xyz"),
}
KNOWN = "".join(BPE.alphabet)


@pytest.mark.parametrize("name", VOCABULARIES)
@given(text=st.text(alphabet=KNOWN + "xyz"))
def test_a_text_is_spelled_exactly(name: str, text: str) -> None:
    vocabulary, text = VOCABULARIES[name], " ".join(text.split())
    known = "".join(vocabulary.alphabet)
    text = " ".join("".join(letter for letter in text if letter in known).split())
    numbers = vocabulary.encode(text)
    assert vocabulary.decode(numbers) == text
    assert not vocabulary.unknown(text)
    assert all(0 < number < len(vocabulary) for number in numbers)
    assert vocabulary.frames_needed(text) == max(frames_needed(numbers), 1)


@given(text=st.text())
def test_whatever_was_learned_from_a_text_spells_it(text: str) -> None:
    for normalizer in ("basic", "none"):
        written = TextNormalizer(normalizer)(text)
        if written:
            for vocabulary in (Characters.from_texts([written]), Pieces.trained([written], 100)):
                assert vocabulary.decode(vocabulary.encode(written)) == written


@given(text=st.lists(st.sampled_from(["h", "ə", "oʊ", "tʃ", "|"])).map(" ".join))
def test_phonemes_stand_apart(text: str) -> None:
    vocabulary = Phonemes(["h", "ə", "oʊ", "tʃ", "|"])
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.frames_needed(text) >= len(text.split())
    assert vocabulary.unknown("h ʃ ə h ʃ") == {"ʃ": 2}
    assert vocabulary.extended(["ʃ"]).symbols == (*vocabulary.symbols, "ʃ")


@pytest.mark.parametrize("name", VOCABULARIES)
def test_what_a_model_folder_holds_gives_the_same_vocabulary(name: str) -> None:
    vocabulary = VOCABULARIES[name]
    for other in (restore_vocabulary(json.loads(json.dumps(vocabulary.to_dict()))), copy.deepcopy(vocabulary)):
        assert type(other) is type(vocabulary)
        assert other.to_dict() == vocabulary.to_dict()
        assert [other.encode(text) for text in TEXTS] == [vocabulary.encode(text) for text in TEXTS]


def test_folders_of_before_there_were_kinds_hold_characters() -> None:
    assert restore_vocabulary({"symbols": ["a", "b"]}).encode("ba") == [2, 1]


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (
            {"kind": "syllables", "symbols": ["a"]},
            "'syllables' is not known; wanted one of characters, pieces, phonemes",
        ),
        ({"kind": "pieces"}, "of pieces is damaged"),
        ({"kind": "pieces", "symbols": ["a", "b"], "merges": [["a"]]}, "of pieces is damaged"),
        ({"kind": "pieces", "symbols": ["a", "b"], "merges": [["a", "b"]]}, "the merges or scores of a CTC vocabulary"),
        ({"kind": "pieces", "symbols": ["a", "b"], "scores": [-1.0]}, "the merges or scores of a CTC vocabulary"),
        ({"kind": "characters", "symbols": ["a", "a"]}, "a list of distinct symbols"),
        ({"kind": "characters", "symbols": ["a", ""]}, "a list of distinct symbols"),
        ({"kind": "phonemes", "symbols": 3}, "of phonemes is damaged"),
    ],
)
def test_a_damaged_vocabulary_is_reported(description: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        restore_vocabulary(description)


# Unknown symbols


def test_unknown_characters_are_counted_and_left_out() -> None:
    for vocabulary in (Characters.from_texts(["abc"]), Pieces.trained(["abc"], 10)):
        assert vocabulary.unknown("axbxy") == {"x": 2, "y": 1}
        assert vocabulary.decode(vocabulary.encode("axbxy")) == "ab"
        assert vocabulary.missing(["xa", "b", "yx"]) == ["x", "y"]
        assert vocabulary.frames_needed("xxy") >= 4


def test_a_character_that_only_longer_pieces_hold_is_unknown() -> None:
    assert Pieces([" the", "n"]).unknown("then") == {" ": 1, "t": 1, "h": 1, "e": 1}


def test_texts_without_characters_make_no_vocabulary() -> None:
    for texts in (["", ""], []):
        with pytest.raises(DataError, match="no characters"):
            Characters.from_texts(texts)
        with pytest.raises(DataError, match="no characters"):
            Pieces.trained(texts, 10)


@pytest.mark.parametrize("vocabulary", [BPE, UNIGRAM, ACROSS], ids=["byte-pair encoding", "unigram", "longest piece"])
@given(text=st.text(alphabet=KNOWN))
def test_new_characters_change_no_text_that_was_known(vocabulary: Pieces, text: str) -> None:
    longer, text = vocabulary.extended(["ñ", "ß"]), " ".join(text.split())
    assert longer.symbols == (*vocabulary.symbols, "ß", "ñ")
    assert longer.encode(text) == vocabulary.encode(text)
    mixed = " ".join(f"{text}ñ{text}".split())
    assert longer.decode(longer.encode(mixed)) == mixed


# Pieces


def test_pieces_of_words_need_fewer_frames() -> None:
    text = "the cat sat on the mat"
    assert BPE.frames_needed(text) < Characters.from_texts(TEXTS).frames_needed(text)
    assert [BPE.written(number) for number in BPE.encode("then the")] == [" the", "n", " the"]


def test_training_for_fewer_pieces_gives_the_first_of_them() -> None:
    most = Pieces.trained(TEXTS, 1000)
    for size in range(len(most.alphabet), len(most.symbols) + 3):
        one = Pieces.trained(TEXTS, size)
        assert len(one.symbols) == min(size, len(most.symbols))
        assert most.shortened(size).to_dict() == one.to_dict()


def test_the_same_text_gives_the_same_pieces_in_any_process() -> None:
    """Also where hashes differ, and where more than one thread counts."""
    program = (
        "from speechxfer.data.vocabulary import Pieces; import random, hashlib; draw = random.Random(1);"
        "texts = [''.join(draw.choices('abcde ', k=40)) for _ in range(300)];"
        "print(hashlib.sha1(repr(Pieces.trained(texts, 200).to_dict()).encode()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"RAYON_NUM_THREADS": count},
        ).stdout
        for count in ("1", "2", "4")
    }
    assert len(found) == 1


def test_repeats_need_a_blank_between_them() -> None:
    wanted: list[tuple[Sequence[Any], int]] = [([], 0), ([1, 2, 3], 3), ([1, 2, 2, 2], 6), ("hello", 6)]
    for symbols, frames in wanted:
        assert frames_needed(symbols) == frames
