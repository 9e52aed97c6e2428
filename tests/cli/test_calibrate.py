"""`speechxfer calibrate`: the saved model writes the same with other confidences."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.encoders import load_encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.model import SpeechModel
from tests.conftest import tone

SOUND = tone("a b c")


@pytest.fixture(scope="module")
def model(whisper_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CTC model that writes at random."""
    checkpoint, folder = find(str(whisper_folder)), tmp_path_factory.mktemp("random")
    torch.manual_seed(3)
    encoder = load_encoder(checkpoint.name, *checkpoint.read())
    head = CTCHead(encoder.width, encoder.output_frame_rate, Characters(list(" abc")), TextNormalizer("basic"))
    torch.nn.init.normal_(head.projection.weight, std=0.3)
    SpeechModel(encoder, head, "here").save(folder / "model")
    return folder / "model"


@pytest.mark.slow
def test_the_model_is_saved_with_its_calibration(model: Path, corpus: Callable[..., Path], tmp_path: Path) -> None:
    dev, output = corpus("dev", ["a b c", "b c a a", "c", "a b"] * 24), tmp_path / "calibrated"
    shown = CliRunner().invoke(main, ["calibrate", str(model), "--dev", str(dev), "--output", str(output)])
    assert (shown.exit_code, "expected calibration error on dev" in shown.output) == (0, True), shown.output
    before, after = (sx.load(str(folder), device="cpu").recognize([SOUND])[0] for folder in (model, output))
    calibration = sx.load(str(output), device="cpu").calibration
    assert (before.text, calibration is not None) == (after.text, True)
    assert calibration
    assert [word.confidence for word in after.words] == pytest.approx(
        [calibration.confidence(word.confidence or 0, len(word.text), before.confidence) for word in before.words]
    )
    assert after != before
    described = json.loads((output / "speechxfer.json").read_text())["calibration"]
    assert described == vars(calibration)
    errors = [
        sx.evaluate(str(folder), dev, device="cpu").metrics["word_calibration_error"] for folder in (model, output)
    ]
    assert errors[1] < errors[0]
    # Once more changes nothing.
    again = sx.calibrate(str(output), dev, device="cpu").calibration
    assert again == calibration


def test_a_dev_split_of_a_few_words_is_refused(model: Path, corpus: Callable[..., Path], tmp_path: Path) -> None:
    dev = corpus("dev", ["a b"] * 2)
    shown = CliRunner().invoke(main, ["calibrate", str(model), "--dev", str(dev), "--output", str(tmp_path / "other")])
    assert shown.exit_code == 1
    assert "words with a confidence; wanted at least 100" in shown.output
    assert "Traceback" not in shown.output
    assert not (tmp_path / "other").exists()
