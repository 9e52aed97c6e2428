"""What cannot be measured is refused before the work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.data.loading import check_words
from speechxfer.data.text import TextNormalizer
from speechxfer.errors import ConfigError, DataError
from speechxfer.evaluation import evaluate as module
from speechxfer.evaluation.evaluate import evaluate


@pytest.fixture
def _no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def working(*_arguments: object, **_options: object) -> None:
        raise AssertionError("the model was asked")

    monkeypatch.setattr(module, "predict_all", working)


@pytest.mark.usefixtures("_no_work")
@pytest.mark.parametrize("texts", [["", ""], ["...", "?!"], [" ", "\t"]])
def test_texts_without_a_word_are_refused(
    texts: list[str], corpus: Callable[..., Path], spelling_whisper: Path
) -> None:
    path = corpus("spoken", ["a", "b"])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, "text": text}) + "\n" for line, text in zip(lines, texts, strict=True)))
    model, manifest = sx.load(str(spelling_whisper), device="cpu"), sx.Manifest.read(path)
    with pytest.raises(DataError, match=r"spoken\.jsonl: none of its 2 texts holds a word after normalizer basic/"):
        evaluate(model, manifest)
    with pytest.raises(DataError, match="no error rate can be measured on it"):
        model.head.check_measurable(manifest, TextNormalizer())
    done = CliRunner().invoke(main, ["evaluate", str(spelling_whisper), str(path), "--device", "cpu"])
    assert (done.exit_code, done.output.count("\n")) == (1, 1)


@pytest.mark.usefixtures("_no_work")
def test_a_language_that_the_model_lacks_is_refused(corpus: Callable[..., Path], spelling_whisper: Path) -> None:
    model = sx.load(str(spelling_whisper), device="cpu")
    with pytest.raises(ConfigError, match="knows English only"):
        evaluate(model, sx.Manifest.read(corpus("spoken", ["a"])), options=sx.DecodingOptions(language="it"))


def test_one_word_is_enough(corpus: Callable[..., Path]) -> None:
    path = corpus("some", ["a", "b"])
    path.write_text(path.read_text().replace('"b"', '"..."'))
    check_words(sx.Manifest.read(path), TextNormalizer())
