"""Pieces of words are read, split and written as `transformers` does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, LasrTokenizer, ParakeetTokenizer, PreTrainedTokenizerFast

from speechxfer.data.vocabulary import Pieces
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import CheckpointError
from speechxfer.heads.ctc.files import Spelling, read_spelling, tokenizer_files

TEXTS = ["the cat sat on the mat", "then the other cat", "it's theirs", "a cart"]
KNOWN = "".join(sorted(set("".join(TEXTS))))


def metaspace(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", "always")
    tokenizer.decoder = decoders.Metaspace("▁", "always")
    return tokenizer


def parakeet(folder: Path) -> PreTrainedTokenizerFast:
    """Byte-pair encoding, the unknown token first, bytes among the tokens, the blank last."""
    tokenizer = metaspace(Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True)))
    trainer = trainers.BpeTrainer(vocab_size=60, special_tokens=["<unk>", "<0x0A>"], show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    made = ParakeetTokenizer(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False)
    made.add_special_tokens(
        {"unk_token": AddedToken("<unk>", special=True), "pad_token": AddedToken("<pad>", special=True)}
    )
    made.save_pretrained(folder)
    return made


def lasr(folder: Path) -> PreTrainedTokenizerFast:
    """A unigram language model, the blank first."""
    scored = [("▁the", -2.0), ("the", -3.0), ("at", -3.5), ("▁c", -4.0), ("he", -4.1)]
    characters = [(character, -6.0 - number / 10) for number, character in enumerate(KNOWN.replace(" ", ""))]
    vocabulary = [
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("▁", -2.5),
        *scored,
        *characters,
        ("<extra_id_0>", 0.0),
    ]
    made = LasrTokenizer(vocab=vocabulary, extra_ids=1)
    made.save_pretrained(folder)
    return made


TOKENIZERS: dict[str, Callable[[Path], Any]] = {"parakeet": parakeet, "lasr": lasr}


def spelling(folder: Path, theirs: Any) -> Spelling:
    return read_spelling(Checkpoint("tiny", folder), {"pad_token_id": theirs.pad_token_id}, len(theirs))


@pytest.mark.parametrize("name", TOKENIZERS)
def test_texts_are_split_and_written_as_transformers_does_it(name: str, tmp_path: Path) -> None:
    theirs = TOKENIZERS[name](tmp_path)
    found = spelling(tmp_path, theirs)
    assert found.blank == theirs.pad_token_id
    assert isinstance(found.vocabulary, Pieces)
    assert found.vocabulary.symbols == tuple(found.symbols)
    assert not any(symbol.startswith("<") for symbol in found.symbols)
    for text in (*TEXTS, "there at", "hhheee", "t a t"):
        indices = found.vocabulary.encode(text)
        outputs = [found.outputs[index] for index in indices]
        assert outputs == theirs(text, add_special_tokens=False).input_ids
        assert theirs.decode(outputs, group_tokens=False) == found.vocabulary.decode(indices) == text


@pytest.mark.parametrize("name", [*TOKENIZERS, "longest"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(text=st.text(alphabet=KNOWN + "ñ"))
def test_a_tokenizer_that_is_written_gives_the_same(name: str, text: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    if not folder.exists():
        folder.mkdir()
        plain = Pieces([*KNOWN, " the", "the", "at"])
        made = plain if name == "longest" else spelling(folder, TOKENIZERS[name](folder)).vocabulary
        (folder / "written").mkdir()
        for file, content in (tokenizer_files(made.extended("ñ")) or {}).items():
            (folder / "written" / file).write_text(json.dumps(content))
    theirs = AutoTokenizer.from_pretrained(folder / "written")
    found, text = spelling(folder / "written", theirs), " ".join(text.split())
    indices = found.vocabulary.encode(text)
    assert found.outputs == list(range(len(found.vocabulary)))
    assert theirs(text).input_ids == indices
    # The blank between equal neighbors, as CTC writes them.
    path = [number for index in indices for number in (index, theirs.pad_token_id)]
    assert theirs.decode(path) == found.vocabulary.decode(indices) == text


def test_a_character_that_stands_for_the_space_elsewhere_has_no_tokenizer() -> None:
    assert tokenizer_files(Pieces([" ", "a", "▁"], merges=[])) is None


def test_pieces_of_several_words(tmp_path: Path) -> None:
    made = Pieces([*KNOWN, " o", "on", " on", "on t", " on t"], merges=[("o", "n"), (" ", "on")])
    for file, content in (tokenizer_files(made) or {}).items():
        (tmp_path / file).write_text(json.dumps(content))
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs("cat on the mat").input_ids == made.encode("cat on the mat")
    assert theirs.decode([made.symbols.index(" on t") + 1]) == made.decode([made.symbols.index(" on t") + 1]) == "on t"


BPE: dict[str, Any] = {"type": "BPE", "vocab": {"<pad>": 0, "▁": 1, "a": 2, "▁a": 3}, "merges": [["▁", "a"]]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"model": {"type": "WordPiece", "vocab": {}, "continuing_subword_prefix": "##"}},
            "those of WordPiece with marks inside words, which is not supported; wanted BPE or Unigram",
        ),
        ({"model": {**BPE, "end_of_word_suffix": "</w>"}}, "those of BPE with marks inside words"),
        (
            {"model": BPE, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}]}},
            "BPE over bytes",
        ),
        ({"model": None}, "is not a tokenizer's file"),
        ({}, r"is not a tokenizer's file .* \(lacks 'model'\)"),
        ({"model": {**BPE, "merges": ["a"]}}, "is not a tokenizer's file"),
        ({"model": {"type": "Unigram", "vocab": {"a": 1}}}, "is not a tokenizer's file"),
        ({"model": {**BPE, "vocab": {**BPE["vocab"], "b": 4}}}, "spells 5 numbers, but the head has 4 outputs"),
        (
            {"model": {**BPE, "vocab": {"▁": 0, "a": 1, "▁a": 2, "<pad>": 3}}},
            "'<pad>' is number 3, but config.json says",
        ),
        ("{", "is not JSON"),
    ],
)
def test_what_cannot_be_read_is_named(content: Any, message: str, tmp_path: Path) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(CheckpointError, match=message) as refused:
        read_spelling(Checkpoint("tiny", tmp_path), {"pad_token_id": 0}, 4)
    assert "tokenizer.json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_merges_of_earlier_versions_are_lines(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {**BPE, "merges": ["▁ a"]}}))
    found = read_spelling(Checkpoint("tiny", tmp_path), {"pad_token_id": 0}, 4)
    assert found.vocabulary.split("a a") == [" a", " a"]
