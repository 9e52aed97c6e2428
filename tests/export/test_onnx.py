from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import speechxfer as sx
from speechxfer.data.labels import ClassLabels
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.decoding.calibration import Calibration
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.decoding.lexicon import Weights
from speechxfer.encoders.checkpoints import find
from speechxfer.export import gate
from speechxfer.export.gate import agrees
from speechxfer.export.onnx import graph
from speechxfer.export.onnx.quantization import quantize
from speechxfer.export.parity import Parity, chance_of
from speechxfer.heads.base import Head
from speechxfer.heads.classification.head import ClassificationHead
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.heads.fusion import Fusion
from speechxfer.language_models import LanguageModel
from speechxfer.language_models.kneser_ney import train
from speechxfer.model import SpeechModel
from speechxfer.opening import open_checkpoint
from tests import plain_install
from tests.conftest import tone

WAVEFORMS = [tone("a b"), tone("cab"), tone("abcabc cab"), tone("b")]


def saved(
    folder: Path, whisper: Path, make: Callable[[Any], Head], calibration: Calibration | None = None
) -> Path:  # fmt: skip
    """A tiny model with random weights, which writes something."""
    encoder = open_checkpoint(find(str(whisper)), pad_to_30s=False).encoder
    torch.manual_seed(2)
    head = make(encoder)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(30.0)
    model = SpeechModel(encoder, head, "x", language="it").eval()
    model.calibration = calibration
    model.save(folder)
    return folder


def ctc_head(encoder: Any) -> CTCHead:
    return CTCHead(encoder.width, encoder.output_frame_rate, Characters(list(" abc")), TextNormalizer("basic"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, whisper_folder: Path) -> Path:
    """A CTC model with a language model and calibrated confidences."""

    def make(encoder: Any) -> CTCHead:
        head = ctc_head(encoder)
        head.fuse(Fusion(LanguageModel.of(train(["a b", "cab", "b b a"], order=2)), Weights(), beams=8))
        return head

    return saved(tmp_path_factory.mktemp("trained") / "model", whisper_folder, make, Calibration(0.7, 0.1))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    parity = sx.export(trained, folder)
    assert parity.same_text == parity.sounds == 4
    assert parity.difference < 1e-4
    return folder


@pytest.fixture
def copy(exported: Path, tmp_path: Path) -> Path:
    return shutil.copytree(exported, tmp_path / "copy")


@pytest.mark.slow
def test_an_exported_model_gives_the_same_predictions_as_the_trained_one(trained: Path, exported: Path) -> None:
    options = [None, sx.DecodingOptions(beams=1), sx.DecodingOptions(hotwords=["cab"]), sx.DecodingOptions(word_times=False)]  # fmt: skip  # noqa: E501
    for one in options:
        ours, theirs = (sx.load(str(folder), device="cpu").recognize(WAVEFORMS, one) for folder in (trained, exported))
        assert any(hypothesis.text for hypothesis in ours)
        for before, after in zip(ours, theirs, strict=True):
            assert (before.text, [word.text for word in before.words]) == (after.text, [word.text for word in after.words])  # fmt: skip  # noqa: E501
            assert before.confidence == pytest.approx(after.confidence, rel=1e-3)


@pytest.mark.slow
def test_an_exported_model_gets_a_language_model_and_calibration_without_torch(
    exported: Path, corpus: Callable[..., Path], tmp_path: Path
) -> None:
    dev = corpus("dev", ["cab", "b b a", "a b", "cab a b"] * 30)
    texts, words, tuned = (tmp_path / name for name in ("texts.txt", "words.arpa", "tuned"))
    texts.write_text("cab a\nb a cab\n")
    commands = [
        ("lm", "train", texts, "--model", exported, "--output", words),
        ("lm", "tune", exported, "--lm", words, "--dev", dev, "--output", tuned, "--beams", 4),
        ("calibrate", tuned, "--dev", dev, "--output", tuned),
    ]
    called = [list(map(str, command)) for command in commands]
    code = f"from speechxfer.cli import main\nfor one in {called!r}: assert not main(one, standalone_mode=False), one"
    done = plain_install.run(code, "evaluate")
    assert done.returncode == 0, done.stderr
    before, after = (sx.load(str(folder)) for folder in (exported, tuned))
    assert [word for word in ("cab", "b", "a") if word in after.traits.fusion.model] == ["cab", "b", "a"]
    assert after.traits.decoding_defaults.beams == 4
    assert after.calibration not in (None, before.calibration)
    greedy = [model.recognize(WAVEFORMS, sx.DecodingOptions(beams=1)) for model in (before, after)]
    assert [one.text for one in greedy[0]] == [one.text for one in greedy[1]]
    assert sorted(path.name for path in tuned.iterdir()) == sorted(path.name for path in exported.iterdir())  # fmt: skip  # noqa: E501


def test_neighbors_and_padding_change_nothing(exported: Path) -> None:
    model: Any = sx.load(str(exported))
    together, lengths = model.outputs(WAVEFORMS)
    for row, length, waveform in zip(together, lengths, WAVEFORMS, strict=True):
        (alone,), (frames,) = model.outputs([waveform])
        assert frames == length
        np.testing.assert_allclose(row[:length], alone[:length], atol=1e-4)


def test_recordings_of_any_length_and_silence(trained: Path, exported: Path) -> None:
    for waveform in (np.zeros(50_000, "f4"), tone("a")[:100], np.tile(tone("a b cab "), 30)):
        ours, theirs = (sx.load(str(folder)).transcribe(waveform, sample_rate=16_000) for folder in (trained, exported))
        assert ours.text == theirs.text


def test_it_runs_where_torch_cannot_be_imported(exported: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", WAVEFORMS[2], 16_000)
    arguments = ["transcribe", str(exported), str(tmp_path / "a.wav")]
    done = plain_install.run(f"from speechxfer.cli import main\nmain({arguments!r})")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == sx.load(str(exported)).transcribe(tmp_path / "a.wav").text


@pytest.mark.slow
def test_it_aligns_where_torch_cannot_be_imported(trained: Path, exported: Path, tmp_path: Path) -> None:
    samples = np.concatenate([WAVEFORMS[2], np.zeros(16_000, "f4"), WAVEFORMS[0]])
    soundfile.write(path := tmp_path / "a.wav", samples, 16_000)
    text = "Abc - cab, a b!"
    arguments = ["align", str(path), text, "--model", str(exported), "--least-matched", "0", "--characters"]
    code = f"from speechxfer.cli import main\nmain({arguments!r})"
    done = plain_install.run(code, "beam")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    expected = sx.align(str(trained), path, text, least_matched=0.0, characters=True).to_dict()
    assert found["segments"][0]["words"]
    assert _without_confidence(found) == _without_confidence(expected)
    done = plain_install.run(code)
    assert "alignment needs numba, but numba is not installed; python -m pip install 'speechxfer[beam]'" in done.stderr


def _without_confidence(found: Any) -> Any:
    """The same values but for confidences, whose last digits differ."""
    if isinstance(found, dict):
        return {name: _without_confidence(value) for name, value in found.items() if name != "confidence"}
    return [_without_confidence(value) for value in found] if isinstance(found, list) else found


def test_evaluation_and_the_trained_model_agree(trained: Path, exported: Path, corpus: Callable[..., Path]) -> None:
    manifest = corpus("dev", ["a b", "cab", "b"])
    ours, theirs = (sx.evaluate(str(folder), manifest) for folder in (trained, exported))
    assert ours.rates.wer == theirs.rates.wer
    parity = sx.compare(str(trained), str(exported), manifest)
    assert parity is not None


@pytest.mark.slow
def test_a_classifier_is_exported_and_gives_the_same_probabilities(whisper_folder: Path, tmp_path: Path) -> None:
    labels = ClassLabels(["go", "stop", "wait"])
    folder = saved(tmp_path / "model", whisper_folder, lambda encoder: ClassificationHead(encoder.width, labels, pooling="attentive"))  # fmt: skip  # noqa: E501
    manifest = tmp_path / "dev.jsonl"
    for number, waveform in enumerate(WAVEFORMS):
        soundfile.write(tmp_path / f"{number}.wav", waveform, 16_000)
    lines = [{"audio": f"{number}.wav", "label": labels.names[number % 3]} for number in range(len(WAVEFORMS))]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    parity = sx.export(folder, tmp_path / "exported", dev=manifest)
    assert parity.same_text == parity.sounds == 4
    assert parity.error is not None
    assert parity.error[1] == parity.error[2]
    ours, theirs = (sx.load(str(path), device="cpu").classify(tmp_path / "2.wav") for path in (folder, tmp_path / "exported"))  # fmt: skip  # noqa: E501
    assert ours.labels == theirs.labels
    assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-4)
    with pytest.raises(sx.ConfigError, match="is a classifier and writes no text"):
        sx.load(str(tmp_path / "exported")).recognize(WAVEFORMS)
    with pytest.raises(sx.ConfigError, match="wanted a model with a CTC head"):
        sx.align(str(tmp_path / "exported"), WAVEFORMS[0], "a b", sample_rate=16_000)


@pytest.mark.parametrize("quantization", ["float16", "int8"])
def test_fewer_bits_make_it_smaller_and_nearly_the_same(copy: Path, exported: Path, quantization: str) -> None:
    quantize(copy / "model.onnx", quantization)
    exact, rounded = (sx.load(str(folder)) for folder in (exported, copy))
    one, other = (model.outputs(WAVEFORMS[:1])[0] for model in (exact, rounded))  # type: ignore[attr-defined]
    assert (copy / "model.onnx").stat().st_size < (exported / "model.onnx").stat().st_size
    assert 0 < np.abs(one - other).max() < 0.2 * np.abs(one).max()


def test_the_gate() -> None:
    assert agrees(Parity(200, 199, 0.0), "float32")
    assert not agrees(Parity(200, 198, 0.0), "float32")
    assert agrees(Parity(200, 150, 0.0, ("wer", 0.100, 0.103, 1000)), "int8")
    assert not agrees(Parity(200, 200, 0.0, ("wer", 0.100, 0.104, 1000)), "int8")
    assert agrees(Parity(20, 19, 0.0, ("wer", 0.1, 0.12, 50)), "int8")  # one word
    assert not agrees(Parity(4, 2, 0.0), "int8")
    assert agrees(Parity(200, 200, 0.0, ("wer", 0.100, 0.050, 1000)), "int8")  # better
    assert not agrees(Parity(40, 30, 0.0, ("wer", 0.100, 0.107, 200), chance=0.02), "int8")  # chance does not excuse it


def test_chance_is_what_differences_of_utterances_vary_by() -> None:
    dev = sx.Manifest([sx.Utterance(audio=f"{number}.wav", text="a b c d") for number in range(100)])
    right, wrong = Hypothesis("a b c d"), Hypothesis("a b c")
    assert chance_of(dev, [right] * 100, [right] * 100) == 0
    assert chance_of(dev, [wrong] * 100, [right] * 100) == 0  # as sure as can be
    moved = chance_of(dev, [right] * 100, [wrong] * 20 + [right] * 80)
    assert moved == pytest.approx(1.96 * np.sqrt(100 * 0.2 * 0.8) / 400, rel=0.02)


def test_what_does_not_agree_is_not_written(
    trained: Path, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = functools.partial(shutil.copy, exported / "model.onnx")  # which takes no time
    monkeypatch.setattr(graph, "write_graph", lambda _model, path: copied(path))
    monkeypatch.setattr(gate, "agrees", lambda *_: False)
    with pytest.raises(sx.ExportError, match=r"does not agree with the original in float32 .* nothing was written"):
        sx.export(trained, tmp_path / "exported")
    assert not list(tmp_path.iterdir())


def test_bad_requests_are_reported_before_the_work(trained: Path, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(sx.ConfigError, match="quantization is 'int3'; wanted one of float32, float16, int8"):
        sx.export(trained, tmp_path / "x", quantization="int3")
    with pytest.raises(sx.ConfigError, match=r"has a ctc head, but ctranslate2 runs Whisper .*; take --to onnx"):
        sx.export(trained, tmp_path / "x", to="ctranslate2")
    with pytest.raises(sx.CheckpointError, match="is an exported model"):
        sx.export(exported, tmp_path / "x")


def test_a_missing_package_is_named(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnx" else name)
    with pytest.raises(sx.ExportError, match=r"onnx not installed; python -m pip install 'speechxfer\[export\]'"):
        sx.export(trained, tmp_path / "x")


def test_a_damaged_or_newer_folder_is_reported(copy: Path) -> None:
    described = json.loads((copy / "exported.json").read_text())
    (copy / "exported.json").write_text(json.dumps({**described, "format": 99}))
    with pytest.raises(sx.CheckpointError, match="is of format 99, and this version of speechxfer reads up to 1"):
        sx.load(str(copy))
    (copy / "exported.json").write_text(json.dumps({**described, "head": {"kind": "ctc"}}))
    with pytest.raises(sx.CheckpointError, match="the head is damaged"):
        sx.load(str(copy))
    (copy / "exported.json").write_text(json.dumps({**described, "head": {"kind": "ctv"}}))
    with pytest.raises(sx.CheckpointError, match="head is 'ctv'; wanted one of"):
        sx.load(str(copy))
    (copy / "exported.json").write_text(json.dumps(described))
    with (copy / "model.onnx").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(sx.CheckpointError, match="cannot be opened by ONNX Runtime"):
        sx.load(str(copy))
    (copy / "model.onnx").unlink()
    with pytest.raises(sx.CheckpointError, match=r"model\.onnx: cannot be read"):
        sx.load(str(copy))


def test_arguments_that_an_exported_model_does_not_have(exported: Path) -> None:
    for argument, value in {"device": "cuda", "dtype": "bfloat16", "revision": "main"}.items():
        with pytest.raises(sx.ConfigError, match=f"{argument} is '{value}'"):
            sx.load(str(exported), **{argument: value})  # type: ignore[arg-type]
    with pytest.raises(sx.ConfigError, match="threads is 0"):
        sx.load(str(exported), threads=0)
