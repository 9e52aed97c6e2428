"""`speechxfer lm`: a language model is trained, judged, tuned to a model, and decodes with it from then on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.encoders import load_encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.model import SpeechModel
from tests.conftest import tone

TEXTS = ["a b", "b c a", "c a", "a b c"]


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code in (1, 2), result.output
    assert "Traceback" not in result.output
    return result.output


@pytest.fixture
def model(whisper_folder: Path, tmp_path: Path) -> Path:
    """A CTC model that writes at random."""
    checkpoint = find(str(whisper_folder))
    torch.manual_seed(3)
    encoder = load_encoder(checkpoint.name, *checkpoint.read())
    head = CTCHead(encoder.width, encoder.output_frame_rate, Characters(list(" abc")), TextNormalizer("basic"))
    torch.nn.init.normal_(head.projection.weight, std=0.3)
    SpeechModel(encoder, head, "here").save(tmp_path / "model")
    return tmp_path / "model"


def test_a_language_model_is_trained_tuned_and_used(model: Path, corpus: Callable[..., Path], tmp_path: Path) -> None:
    train, dev = corpus("train", TEXTS * 2), corpus("dev", TEXTS)
    more = tmp_path / "more.txt"
    more.write_text("A, B!\n\nc c\n", encoding="utf-8")
    words = tmp_path / "words.arpa.gz"
    shown = run("lm", "train", train, more, "--order", 2, "--output", words, "--model", model).output
    assert "6 1-grams" in shown  # three letters, the beginning, the end, and what is not known
    assert "(normalizer basic/2)" in shown

    rows = [json.loads(line) for line in run("lm", "perplexity", words, train, more).stdout.splitlines()]
    assert [row["words"] for row in rows] == [20, 4]
    assert 1.0 < rows[0]["perplexity"] < rows[1]["perplexity"]

    tuned = tmp_path / "tuned"
    shown = run("lm", "tune", model, "--lm", words, "--dev", dev, "--output", tuned, "--beams", 8).output
    assert "weights: language model" in shown
    assert "dev, greedy" in shown
    found = sx.load(str(tuned), device="cpu")
    plain = sx.load(str(model), device="cpu")
    waveforms = [tone(text) for text in TEXTS]
    greedy, fused = (found.recognize(waveforms, options) for options in (sx.DecodingOptions(beams=1), None))
    assert [one.text for one in greedy] == [one.text for one in plain.recognize(waveforms)]
    assert [one.text for one in fused] != [one.text for one in greedy]
    for one, waveform in zip(fused, waveforms, strict=True):
        assert all(0 <= word.start < word.end <= len(waveform) / 16_000 + 0.02 for word in one.words)
        assert [word.text for word in one.words] == one.text.split()
    found.save(tmp_path / "again")
    assert (tmp_path / "again" / "language_model.arpa").read_text() == (tuned / "language_model.arpa").read_text()


def test_a_run_from_such_a_model_leaves_the_language_model_out(
    model: Path, corpus: Callable[..., Path], tmp_path: Path
) -> None:
    train, dev = corpus("train", TEXTS), corpus("dev", TEXTS)
    words = sx.train_language_model(train, order=2)
    sx.tune_language_model(str(model), words, dev, beams=4, output=tmp_path / "tuned", device="cpu")
    options = ["--epochs", 1, "--lm", "none", "--train", train, "--dev", dev, "--output", tmp_path / "run"]
    assert "language model is left out" in run("finetune", "--model", tmp_path / "tuned", *options).output
    assert not (tmp_path / "run" / "model" / "language_model.arpa").exists()


def test_a_language_model_of_other_letters_is_refused(model: Path, corpus: Callable[..., Path], tmp_path: Path) -> None:
    text, words = tmp_path / "other.txt", tmp_path / "other.arpa"
    text.write_text("ЖУК ЁЖ\n", encoding="utf-8")
    sx.train_language_model(text, output=words)
    shown = refused("lm", "tune", model, "--lm", words, "--dev", corpus("dev", TEXTS), "--output", tmp_path / "tuned")
    assert "none of the 2 words of the language model, such as 'жук', can be spelled" in shown.replace("ёж", "жук")
    assert not (tmp_path / "tuned").exists()


def test_a_damaged_language_model_in_a_model_is_reported(
    model: Path, corpus: Callable[..., Path], tmp_path: Path
) -> None:
    train = corpus("train", TEXTS)
    words = sx.train_language_model(train)
    sx.tune_language_model(str(model), words, train, beams=4, output=tmp_path / "tuned", device="cpu")
    (tmp_path / "tuned" / "language_model.arpa").write_text("\\data\\\nngram 1=3\n")
    with pytest.raises(sx.CheckpointError, match=r"language_model\.arpa:\d+: the file ends"):
        sx.load(str(tmp_path / "tuned"))


def test_wrong_input_is_refused_in_a_line(model: Path, corpus: Callable[..., Path], tmp_path: Path) -> None:
    train = corpus("train", TEXTS)
    words = tmp_path / "words.arpa"
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    assert "no word in the text" in refused("lm", "train", empty, "--output", words)
    assert "no such file" in refused("lm", "train", tmp_path / "missing.txt", "--output", words)
    assert "--prune 'x': wanted whole numbers" in refused("lm", "train", train, "--output", words, "--prune", "x")
    assert "prune is 0 2 1; wanted" in refused("lm", "train", train, "--output", words, "--prune", "0 2 1")
    assert "leave one of them out" in refused(
        "lm", "train", train, "--output", words, "--model", model, "--normalizer", "none"
    )
    assert not words.exists()
    words.write_text("no ARPA file")
    tune = ["lm", "tune", model, "--dev", train, "--output", tmp_path / "tuned", "--lm"]
    assert "ends too early" in refused(*tune, words)
    assert "cannot be read as a language model" in refused(*tune, tmp_path / "missing.arpa")
    assert not (tmp_path / "tuned").exists()


def test_a_model_without_a_ctc_head_is_refused(
    whisper_folder: Path, corpus: Callable[..., Path], tmp_path: Path
) -> None:
    train = corpus("train", TEXTS)
    words = sx.train_language_model(train, output=tmp_path / "words.arpa")
    assert "a" in words
    shown = refused("lm", "train", train, "--output", tmp_path / "other.arpa", "--model", whisper_folder)
    assert "has no CTC head" in shown


def test_hotwords_come_from_a_file_with_weights_or_without(
    model: Path, corpus: Callable[..., Path], tmp_path: Path
) -> None:
    manifest, file = corpus("dev", ["a b"]), tmp_path / "names.txt"
    file.write_text("cab\t3.5\n\nA b\n", encoding="utf-8")
    shown = json.loads(run("evaluate", model, manifest, "--hotwords", file).stdout)
    assert shown["hotwords"] == [["cab", 3.5], ["A b", 8.0]]


def test_wrong_hotwords_are_refused_in_a_line(
    model: Path, corpus: Callable[..., Path], spelling_whisper: Path, tmp_path: Path
) -> None:
    manifest, file = corpus("dev", ["a b"]), tmp_path / "names.txt"
    for text, message in (
        ("", "holds no hotwords; wanted one a line"),
        ("abc\tmuch\n", "names.txt:1: the weight of 'abc' is 'much'; wanted a number"),
        ("abc\t-3\n", "the weight of hotword 'abc' is -3.0; wanted"),
        ("жук\n", "hotwords: none can be spelled with the characters of the model (' abc'), such as 'жук'"),
    ):
        file.write_text(text, encoding="utf-8")
        assert message in refused("evaluate", model, manifest, "--hotwords", file)
    file.write_text("abc\n", encoding="utf-8")
    shown = refused("evaluate", model, manifest, "--hotwords", file, "--beams", 1)
    assert "hotwords need a beam search" in shown
    assert "no such file" in refused("evaluate", model, manifest, "--hotwords", tmp_path / "missing.txt")
    shown = refused("evaluate", spelling_whisper, manifest, "--hotwords", file)
    assert "a seq2seq head has no such option" in shown
    for wrong in ("abc", [3], [("abc", "much")], [""]):
        with pytest.raises(sx.ConfigError, match="hotword"):
            sx.DecodingOptions(hotwords=wrong)  # type: ignore[arg-type]
