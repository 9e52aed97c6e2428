"""ARPA files: written and read again, plain and gzipped, and what is wrong with damaged ones."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from speechxfer.errors import DataError
from speechxfer.language_models import LanguageModel, read_arpa, train, write_arpa

TEXTS = ["one two three", "one two", "two three one", "è vero"]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "words.arpa"
    write_arpa(train(TEXTS, 3), path)
    return path


@pytest.mark.parametrize("name", ["words.arpa", "words.arpa.gz"])
def test_what_is_written_is_read_again(name: str, tmp_path: Path) -> None:
    grams = train(TEXTS, 3)
    write_arpa(grams, tmp_path / name)
    found = LanguageModel.of(read_arpa(tmp_path / name))
    assert found.grams.counts() == grams.counts()
    for text in TEXTS:
        assert found.score(text.split()) == pytest.approx(LanguageModel.of(grams).score(text.split()), abs=1e-5)


def test_a_gzipped_file_may_have_any_name_and_a_comment_before_its_data(written: Path, tmp_path: Path) -> None:
    path = tmp_path / "words.lm"
    path.write_bytes(gzip.compress(b"made by somebody\n" + written.read_bytes()))
    assert read_arpa(path) == read_arpa(written)


def changed(line: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(line, new, 1)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], r"wanted|ends too early"),
        (changed("\\2-grams:", "\\3-grams:"), r"arpa:\d+: is '\\\\3-grams:'; wanted \\2-grams:"),
        (changed("ngram 1=", "ngram 2="), r"arpa:2: is 'ngram 2=\d+'; wanted the number of 1-grams"),
        (changed("\\end\\", "more"), r"is 'more'; wanted \\end\\ after \d+ 3-grams"),
        (
            lambda text: re.sub(r"-\d\.\d+\tone two", "much\tone two", text, count=1),
            r"arpa:\d+: is 'much.*wanted a logarithm, 2 words",
        ),
        (lambda text: text.replace("\tthree one", "\ttwo three"), "more than once"),
        (lambda text: "nothing of the kind\n" * 5, "ends too early"),
        (lambda text: "", "ends too early"),
    ],
)
def test_damage_is_reported_with_its_line(written: Path, damage: Callable[[str], str], message: str) -> None:
    written.write_text(damage(written.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_arpa(written)


def test_what_is_no_text_and_what_is_not_there_are_reported(tmp_path: Path, written: Path) -> None:
    binary = tmp_path / "words.bin"
    binary.write_bytes(bytes(range(256)) * 9)
    torn = tmp_path / "words.gz"
    torn.write_bytes(gzip.compress(written.read_bytes())[:-20])
    for path in (binary, torn, tmp_path / "missing.arpa", tmp_path):
        with pytest.raises(DataError, match="cannot be read as a language model"):
            read_arpa(path)


def test_an_n_gram_without_its_beginning_is_reported(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    written.write_text(text.replace("\tone two three", "\tthree two one"), encoding="utf-8")
    with pytest.raises(DataError, match="has the n-gram 'three two one', but not 'three two'"):
        LanguageModel.of(read_arpa(written))
