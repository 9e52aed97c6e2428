from __future__ import annotations

from pathlib import Path

import pytest
import torch

from speechxfer.data.text import TextNormalizer
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError, ExportError
from speechxfer.export import ctranslate2 as module
from speechxfer.export import export
from speechxfer.export.parity import Parity
from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead
from speechxfer.model import SpeechModel
from speechxfer.opening import OWN, open_checkpoint

# The libraries' own.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def adapted(spelling_whisper: Path, tmp_path: Path) -> Path:
    opened = open_checkpoint(find(str(spelling_whisper)), head=OWN, pad_to_30s=False)
    assert isinstance(opened.head, WhisperSeq2SeqHead)
    opened.head.learn(TextNormalizer(), language=None, task="transcribe", timestamp_share=0.0, label_smoothing=0.0)
    with torch.no_grad():  # so that tones and noise are distinguished
        for parameter in opened.head.parameters():
            parameter.mul_(2.0 if parameter.ndim > 1 else 1.0)
    SpeechModel(opened.encoder, opened.head, "x").eval().save(tmp_path / "model")
    return tmp_path / "model"


def test_what_is_exported_hears_and_writes_the_same(adapted: Path, tmp_path: Path) -> None:
    parity = export(str(adapted), tmp_path / "exported")
    assert parity.same_text == parity.sounds == 4
    assert parity.difference < 1e-4
    names = {path.name for path in (tmp_path / "exported").iterdir()}
    assert {"model.bin", "config.json", "tokenizer.json", "preprocessor_config.json"} <= names


def test_what_does_not_agree_is_not_written(adapted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_compare", lambda *_: Parity(sounds=4, same_text=4, difference=0.1))
    with pytest.raises(ExportError, match="does not agree"):
        export(str(adapted), tmp_path / "exported")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_an_unknown_quantization_is_reported(adapted: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"cannot convert it to int3 .*Accepted types"):
        export(str(adapted), tmp_path / "exported", quantization="int3")
    assert not (tmp_path / "exported").exists()


def test_what_has_no_decoder_is_reported(spelling_whisper: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not an adapted model"):
        export(str(spelling_whisper), tmp_path / "exported")
    with pytest.raises(ConfigError, match="export target is 'onyx'; wanted one of onnx, ctranslate2"):
        export(str(spelling_whisper), tmp_path / "exported", to="onyx")
