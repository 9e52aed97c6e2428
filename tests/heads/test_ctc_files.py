"""What a CTC head writes by the files of its tokenizer is what `transformers` writes by them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2PhonemeCTCTokenizer

from speechxfer.data.vocabulary import Characters, Phonemes, Pieces
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import CheckpointError
from speechxfer.heads.ctc.files import Spelling, read_spelling

USUAL = ["<pad>", "<s>", "</s>", "<unk>", "|", "a", "b", "c", "'"]
CLASS = {"tokenizer_class": "Wav2Vec2CTCTokenizer"}


def write(folder: Path, vocabulary: Any, **settings: Any) -> Path:
    folder.mkdir(exist_ok=True)
    if isinstance(vocabulary, list):
        vocabulary = {token: number for number, token in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "tokenizer_config.json").write_text(json.dumps({**CLASS, **settings}))
    return folder


def spelling(folder: Path, outputs: int, **config: Any) -> Spelling:
    return read_spelling(Checkpoint("tiny", folder), {"pad_token_id": 0, **config}, outputs)


def written(found: Spelling, path: list[int]) -> str:
    """The text of a path of outputs, repeated ones being one."""
    names = {number: symbol for symbol, number in found.symbols.items()}
    kept = [number for before, number in zip([None, *path], path, strict=False) if number != before]
    return " ".join("".join(names.get(number, "") for number in kept).split())


def check_same(folder: Path, outputs: int, **config: Any) -> Spelling:
    """Every pair of outputs, special ones apart, is written as by the library's own tokenizer."""
    found, theirs = spelling(folder, outputs, **config), Wav2Vec2CTCTokenizer.from_pretrained(folder)
    assert theirs.pad_token_id == found.blank
    numbers = [found.blank, *found.symbols.values()]
    for one in numbers:
        for other in numbers:
            path = [numbers[1], one, other, numbers[-1]]
            assert written(found, path) == " ".join(theirs.decode(path).split()), path
    return found


VOCABULARIES: dict[str, tuple[Any, dict[str, Any], dict[str, Any], str]] = {
    "usual": (USUAL, {}, {}, " abc'"),
    "mask declared": ([*USUAL, "<mask>"], {"mask_token": "<mask>"}, {}, " abc'"),
    "mask undeclared": ([*USUAL, "<mask>", "[NOISE]"], {}, {}, " abc'"),
    "additional": ([*USUAL, "~"], {"additional_special_tokens": ["~"]}, {}, " abc'"),
    "extra": ([*USUAL, "~"], {"extra_special_tokens": {"noise_token": "~"}}, {}, " abc'"),
    "described": ([*USUAL[:-1], "~"], {"unk_token": {"content": "~", "__type": "AddedToken"}}, {}, " abc"),
    "brackets": (
        ["|", "a", "b", "[UNK]", "[PAD]"],
        {"pad_token": "[PAD]", "unk_token": "[UNK]"},
        {"pad_token_id": 4},
        " ab",
    ),
    "blank as delimiter": (["<pad>", " ", "a"], {"word_delimiter_token": " "}, {}, " a"),
    "no delimiter": (["<pad>", "a", "b"], {}, {}, "ab"),
    "a blank that is never learned": (["<pad>", "|", " ", "a"], {}, {}, " a"),
    "written in lower case": (["<pad>", "|", "A", "É", "'"], {"do_lower_case": True}, {}, " aé'"),
    "both cases, written in lower": (["<pad>", "|", "a", "A", "b"], {"do_lower_case": True}, {}, " ab"),
    "one language": ({"tur": {"<pad>": 0, "|": 1, "ş": 2}}, {"target_lang": "tur"}, {}, " ş"),
    "two languages": (
        {"eng": {"<pad>": 0, "a": 1}, "tur": {"<pad>": 0, "ş": 1, "|": 2}},
        {"target_lang": "tur"},
        {},
        "ş ",
    ),
    "no blank's number": (USUAL, {}, {"pad_token_id": None}, " abc'"),
    "several code points": (["<pad>", "|", "t", "ʃ", "tʃ", "ɛ̃"], {}, {}, " tʃtʃɛ̃"),
    "scripts": (["<pad>", "|", "ن", "ș", "가", "𞤀", "—"], {}, {}, " نș가𞤀—"),
}


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_vocabulary_is_read_as_transformers_reads_it(name: str, tmp_path: Path) -> None:
    vocabulary, tokenizer, config, symbols = VOCABULARIES[name]
    folder = write(tmp_path / "model", vocabulary, **tokenizer)
    inner = vocabulary if isinstance(vocabulary, list) else vocabulary["tur"]
    found = check_same(folder, len(inner), **config)
    assert "".join(found.symbols) == symbols
    assert isinstance(found.vocabulary, Characters)
    assert found.vocabulary.symbols == tuple(found.symbols)


PHONEMES = ["<pad>", "<s>", "h", "</s>", "<unk>", "ə", "oʊ", "tʃ", "s^"]


@pytest.mark.parametrize("delimiter", [None, "|"])
def test_phonemes_are_read_as_transformers_reads_them(delimiter: str | None, tmp_path: Path) -> None:
    name = {"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer", "word_delimiter_token": delimiter, "do_phonemize": False}
    tokens = PHONEMES if delimiter is None else [*PHONEMES, delimiter]
    folder = write(tmp_path / "model", tokens, **name)
    found = spelling(folder, len(tokens))
    theirs = Wav2Vec2PhonemeCTCTokenizer.from_pretrained(folder)
    assert isinstance(found.vocabulary, Phonemes)
    assert (
        found.vocabulary.symbols
        == tuple(found.symbols)
        == tuple(tokens[i] for i in range(len(tokens)) if i not in (0, 1, 3, 4))
    )
    indices = [1, 3, 2, *range(1, len(found.vocabulary))]
    outputs = [found.outputs[index] for index in indices]
    assert found.vocabulary.decode(indices) == theirs.decode(outputs, filter_word_delimiter_token=False)
    assert theirs("h oʊ tʃ").input_ids == [found.outputs[i] for i in found.vocabulary.encode("h oʊ tʃ")]


def test_pieces_by_nothing_but_their_names(tmp_path: Path) -> None:
    found = spelling(write(tmp_path / "model", ["<pad>", "▁", "▁the", "t", "h", "e", "n"]), 7)
    assert isinstance(found.vocabulary, Pieces)
    assert found.vocabulary.split("then the nth") == [" the", "n", " the", " ", "n", "t", "h"]


def test_tokens_that_were_added_later_are_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "old", ["<pad>", "|", "a"])
    (folder / "added_tokens.json").write_text('{"ñ": 3, "<s>": 4, "</s>": 5, "ö": 6}')
    assert "".join(check_same(folder, 7).symbols) == " añö"
    made = Wav2Vec2CTCTokenizer.from_pretrained(write(tmp_path / "plain", ["<pad>", "|", "a"]))
    made.add_tokens(["ñ"])
    made.save_pretrained(tmp_path / "new")
    assert "".join(check_same(tmp_path / "new", len(made)).symbols) == " añ"
    # Whoever does not widen the head leaves it without outputs for them.
    assert "".join(spelling(tmp_path / "new", 3).symbols) == " a"


def test_special_tokens_that_no_file_names_come_after_those_that_one_does(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", ["<pad>", "|", "a", "<unk>"])
    (folder / "tokenizer_config.json").unlink()
    assert len(Wav2Vec2CTCTokenizer.from_pretrained(folder)) == 6
    assert "".join(check_same(folder, 6).symbols) == " a"
    with pytest.raises(CheckpointError, match="spells 4 of the head's 7 outputs, but not number 6"):
        spelling(folder, 7)


def test_another_token_may_stand_between_words(tmp_path: Path) -> None:
    """Since version 5 `transformers` forgets what the file says of it."""
    folder = write(tmp_path / "model", ["<pad>", "_", "a", "|"], word_delimiter_token="_")
    assert "".join(spelling(folder, 4).symbols) == " a|"


def test_one_vocabulary_of_a_language_needs_no_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", {"tur": {"<pad>": 0, "ş": 1}})
    assert "".join(spelling(folder, 2).symbols) == "ş"


@pytest.mark.parametrize(
    ("vocabulary", "tokenizer", "message"),
    [
        (
            ["<pad>", "a"],
            {"tokenizer_class": "BertTokenizer"},
            r"writes by a BertTokenizer, but there is no tokenizer\.json",
        ),
        (["a", "<pad>"], {}, "'<pad>' is number 1, but config.json says that the blank"),
        (["[PAD]", "a"], {}, "'<pad>' is missing, but config.json says that the blank"),
        ({"eng": {"<pad>": 0, "a": 1}, "tur": {}}, {}, "the vocabularies of 2 languages, but .* says None"),
        ({"eng": {"<pad>": 0, "a": 1}, "tur": {}}, {"target_lang": "ita"}, "says 'ita' .* wanted one of: eng, tur"),
        ({"<pad>": "0", "a": "1"}, {}, "holds no numbers of tokens"),
    ],
)
def test_what_cannot_be_read_is_named(vocabulary: Any, tokenizer: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=message) as refused:
        spelling(write(tmp_path / "model", vocabulary, **tokenizer), 2)
    assert "\n" not in str(refused.value)


LETTERS = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="|")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)
@given(letters=st.lists(LETTERS, min_size=2, max_size=6, unique=True), lower=st.booleans())
def test_any_letters_are_written_as_transformers_writes_them(letters: list[str], lower: bool, tmp_path: Path) -> None:
    if lower:  # as such a tokenizer learns them
        letters = list(dict.fromkeys(letter.upper() for letter in letters if len(letter.upper().lower()) == 1))
    folder = write(tmp_path / "model", ["<pad>", "|", *letters], do_lower_case=lower)
    check_same(folder, len(letters) + 2)
