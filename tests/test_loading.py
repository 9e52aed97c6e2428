"""How a model is loaded: in which precision, with how many threads, in which revision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import speechxfer as sx
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.model import SpeechModel
from speechxfer.opening import open_checkpoint
from tests.conftest import tone

WAVEFORMS = [tone("ab ca"), tone("b")]


@pytest.fixture(scope="module")
def ctc_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    encoder = open_checkpoint(find("wav2vec2-nano")).encoder
    torch.manual_seed(0)
    head = CTCHead(encoder.width, encoder.output_frame_rate, Characters(["a", "b", "c", " "]), TextNormalizer())
    folder = tmp_path_factory.mktemp("ctc") / "model"
    SpeechModel(encoder, head, "wav2vec2-nano").save(folder)
    return folder


@torch.inference_mode()
def log_probabilities(model: SpeechModel) -> torch.Tensor:
    with torch.autocast("cpu", model.dtype, enabled=model.dtype != torch.float32):
        return model.head(model.encoder(*model.encoder.collate(WAVEFORMS))[0])  # type: ignore[no-any-return]


def test_half_precision_is_close_and_half_the_size(ctc_folder: Path) -> None:
    whole, half = (sx.load(str(ctc_folder), device="cpu", dtype=name) for name in ("float32", "bfloat16"))
    assert half.dtype == torch.bfloat16
    first, second = log_probabilities(whole), log_probabilities(half)
    assert second.dtype == torch.float32
    assert not torch.equal(first, second)
    torch.testing.assert_close(first, second, atol=0.1, rtol=0)
    sizes = [sum(one.numel() * one.element_size() for one in model.parameters()) for model in (whole, half)]
    assert sizes[1] < 0.55 * sizes[0]
    norms = [module for module in half.modules() if isinstance(module, torch.nn.LayerNorm)]
    assert norms
    assert {module.weight.dtype for module in norms} == {torch.float32}


def test_half_precision_decodes(spelling_whisper: Path) -> None:
    whole, half = (sx.load(str(spelling_whisper), device="cpu", dtype=name) for name in ("auto", "bfloat16"))
    assert whole.dtype == torch.float32
    options = sx.DecodingOptions(beams=2, temperature=0)
    for first, second in zip(whole.recognize(WAVEFORMS, options), half.recognize(WAVEFORMS, options), strict=True):
        assert second.confidence == pytest.approx(first.confidence, abs=0.05)


def test_rounded_weights_are_not_saved(ctc_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"loaded as torch\.bfloat16, .*load it with dtype='float32' to save it"):
        sx.load(str(ctc_folder), device="cpu", dtype="bfloat16").save(tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"dtype": "float16"}, "dtype is 'float16', which CPUs do not compute in; wanted float32 or bfloat16"),
        ({"dtype": "int8"}, "dtype is 'int8'; wanted one of auto, float32, bfloat16, float16"),
        ({"threads": 0}, "threads is 0; wanted at least 1"),
        ({"threads": True}, "threads is true; wanted a whole number"),
        ({"revision": "v1"}, "revision is 'v1', but wav2vec2-nano is at .*; leave it out"),
    ],
)
def test_wrong_values_are_named(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=f"^{expected}"):
        sx.load("wav2vec2-nano", device="cpu", **options)


def test_threads_are_those_of_torch(ctc_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", counts.append)
    sx.load(str(ctc_folder), device="cpu")
    assert counts == []
    sx.load(str(ctc_folder), device="cpu", threads=3)
    assert counts == [3]
