from __future__ import annotations

from pathlib import Path

import pytest
import torch

from speechxfer.data.text import TextNormalizer
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError, ExportError
from speechxfer.export import export
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


def test_an_unknown_quantization_is_reported(adapted: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"cannot convert it to int3 .*Accepted types"):
        export(str(adapted), tmp_path / "exported", quantization="int3")
    assert not (tmp_path / "exported").exists()


def test_what_has_no_decoder_is_reported(spelling_whisper: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not an adapted model"):
        export(str(spelling_whisper), tmp_path / "exported")
    with pytest.raises(ConfigError, match="export target is 'onyx'; wanted one of onnx, ctranslate2, transformers"):
        export(str(spelling_whisper), tmp_path / "exported", to="onyx")
