"""Checkpoints as people have them: what `transformers` opens opens here with the same output, or is refused by name.

A head nobody asked for never keeps its encoder from opening.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from click.testing import CliRunner
from safetensors.torch import load_file

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import CheckpointError
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.opening import Opened, open_checkpoint
from tests.encoders.conftest import VARIANTS, noise, reference

FAMILIES = ["wav2vec2", "wav2vec2-stable", "wav2vec2-adapters", "hubert", "wavlm", "data2vec-audio"]
HEADS = ["Model", "ForCTC", "ForSequenceClassification", "ForAudioFrameClassification", "ForXVector", "ForPreTraining"]
STEMS = {"wav2vec2": "Wav2Vec2", "hubert": "Hubert", "wavlm": "WavLM", "data2vec-audio": "Data2VecAudio"}
CLASSES = [
    (variant, head)
    for variant in FAMILIES
    for head in HEADS
    if hasattr(transformers, STEMS[VARIANTS[variant][0]] + head)
]
TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C", "'"]
SPELLED = [0, 4, 5, 6, 7, 8]
WAVEFORM = noise(8000)
NORMALIZED = torch.from_numpy((WAVEFORM - WAVEFORM.mean()) / np.sqrt(WAVEFORM.var() + 1e-7))[None]


def ctc(folder: Path, variant: str = "wav2vec2-stable", tokens: Any = TOKENS, **settings: Any) -> Any:
    """A folder with a CTC head, and the original."""
    count = len(tokens)
    model = reference(variant, head="ForCTC", vocab_size=count, pad_token_id=0, **settings)
    with torch.no_grad():
        model.lm_head.weight.normal_()
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "preprocessor_config.json").write_text('{"do_normalize": true}')
    return model


@torch.inference_mode()
def states(opened: Opened) -> torch.Tensor:
    encoder = opened.encoder.eval()
    return encoder(*encoder.collate([WAVEFORM]))[0][0]


@torch.inference_mode()
def logits(folder: Path) -> torch.Tensor:
    opened = open_checkpoint(find(str(folder)))
    assert isinstance(opened.head, CTCHead), opened.problem
    return opened.head.logits(states(opened))


def outlined(opened: Opened) -> dict[str, torch.Size]:
    """Names and shapes of all weights, its head's and its encoder's."""
    parts = torch.nn.ModuleList([part for part in (opened.encoder, opened.head) if part is not None])
    return {name: tensor.shape for name, tensor in parts.state_dict().items()}


def assert_outlined_alike(folder: Path, whole: Opened) -> None:
    """A folder opens alike without numbers: from names and shapes of its weights, and from its configuration alone."""
    for checkpoint in (find(str(folder)), replace(find(str(folder)), has_weights=False)):
        with torch.device("meta"):
            opened = open_checkpoint(checkpoint)
        assert next(opened.encoder.parameters()).is_meta
        assert outlined(opened) == outlined(whole)
        assert (opened.problem, opened.own_decoder) == (whole.problem, whole.own_decoder)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


SETTINGS: list[dict[str, Any]] = [
    {}, {"use_weighted_layer_sum": True}, {"add_adapter": True, "num_adapter_layers": 1}, {"mask_time_prob": 0.0},
]  # fmt: skip
#: Settings other than the usual ones are tried with two families here, and with all of them where there is time.
OPENED = [
    pytest.param(
        variant, head, settings, id=f"{variant}-{head}-{settings}",
        marks=[pytest.mark.slow] if settings and variant not in ("wav2vec2", "hubert") else [],
    )
    for settings in SETTINGS
    for variant, head in CLASSES
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "head", "settings"), OPENED)
def test_the_encoder_opens_under_every_head(variant: str, head: str, settings: dict[str, Any], tmp_path: Path) -> None:
    try:
        model = reference(variant, head=head, **settings)
    except (ValueError, AttributeError):
        pytest.skip("transformers does not make it either")
    model.save_pretrained(tmp_path)
    opened = open_checkpoint(find(str(tmp_path)))
    base = getattr(model, model.base_model_prefix, model)
    assert_outlined_alike(tmp_path, opened)
    with torch.inference_mode():
        base.adapter = None
        opened.encoder.set_stacked(False)
        close(states(opened), base(NORMALIZED).last_hidden_state[0])
    has_adapter = bool(settings.get("add_adapter")) and not variant.startswith("hubert")
    is_opened = head == "ForSequenceClassification"
    assert (opened.head is not None) is is_opened
    if has_adapter:
        assert "an adapter of convolutions stands above its encoder (add_adapter" in str(opened.problem)
    elif head in ("ForAudioFrameClassification", "ForXVector"):
        assert f"its head ({type(model).__name__}) is of a kind that is not supported" in str(opened.problem)
    elif head == "ForCTC":
        assert "lacks vocab.json" in str(opened.problem)
    else:
        assert opened.problem is None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("variant", FAMILIES)
def test_classes_are_reported_as_transformers_tells_them(variant: str, weighted: bool, tmp_path: Path) -> None:
    model = reference(variant, head="ForSequenceClassification", use_weighted_layer_sum=weighted, num_labels=3)
    with torch.no_grad():
        model.classifier.weight.normal_()
    model.save_pretrained(tmp_path / "theirs")
    prediction = sx.load(str(tmp_path / "theirs"), device="cpu").predict([WAVEFORM])[0]
    with torch.inference_mode():
        expected = model(NORMALIZED).logits[0].softmax(-1).tolist()
    assert prediction.labels == ("LABEL_0", "LABEL_1", "LABEL_2")  # type: ignore[union-attr]
    assert prediction.probabilities == pytest.approx(tuple(expected), abs=1e-4)  # type: ignore[union-attr]
    assert max(expected) - min(expected) > 1e-2


@pytest.mark.parametrize("variant", FAMILIES)
def test_a_ctc_head_gives_what_transformers_gives_and_does_so_saved_again(variant: str, tmp_path: Path) -> None:
    model = ctc(tmp_path / "theirs", variant)
    with torch.inference_mode():
        expected = model(NORMALIZED).logits[0][:, SPELLED]
    close(logits(tmp_path / "theirs"), expected)
    sx.load(str(tmp_path / "theirs"), device="cpu").save(tmp_path / "ours")
    close(logits(tmp_path / "ours"), expected)
    again = transformers.AutoModelForCTC.from_pretrained(tmp_path / "ours").eval()
    with torch.inference_mode():
        close(again(NORMALIZED).logits[0], expected)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_what_is_saved_says_the_precision_that_it_has(kind: torch.dtype, tmp_path: Path) -> None:
    half = ctc(tmp_path / "half").to(kind)
    half.save_pretrained(tmp_path / "half")
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == str(kind).removeprefix("torch.")
    model = sx.load(str(tmp_path / "half"), device="cpu")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    model.save(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert (config["dtype"], config.get("torch_dtype")) == ("float32", None)
    again = transformers.AutoModelForCTC.from_pretrained(tmp_path / "saved").eval()
    with torch.inference_mode():
        close(again(NORMALIZED).logits[0], half.float()(NORMALIZED).logits[0][:, SPELLED])
    # Whoever saves a model at half precision finds that said.
    model.half().save(tmp_path / "smaller")
    assert json.loads((tmp_path / "smaller" / "config.json").read_text())["dtype"] == "float16"
    stored = load_file(tmp_path / "smaller" / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values() if tensor.is_floating_point()} == {torch.float16}
    assert {parameter.dtype for parameter in sx.load(str(tmp_path / "smaller"), device="cpu").parameters()} == {torch.float32}  # fmt: skip  # noqa: E501


def test_what_the_old_name_says_of_the_precision_goes_too(tmp_path: Path) -> None:
    ctc(tmp_path / "old").half().save_pretrained(tmp_path / "old")
    path = tmp_path / "old" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "torch_dtype": config.pop("dtype")}))
    sx.load(str(tmp_path / "old"), device="cpu").save(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert (saved["dtype"], saved.get("torch_dtype")) == ("float32", None)


def test_a_trainer_s_checkpoint_opens_and_its_head_where_the_tokenizer_is(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoint-500"
    model = ctc(folder)
    (folder / "vocab.json").rename(tmp_path / "run" / "vocab.json")
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "scaler.pt"):
        (folder / name).write_bytes(b"whatever code a pickle holds")
    (folder / "trainer_state.json").write_text("{}")
    opened = open_checkpoint(find(str(folder)))
    with torch.inference_mode():
        close(states(opened), model.wav2vec2(NORMALIZED).last_hidden_state[0])
    with pytest.raises(
        CheckpointError, match=r"lacks vocab\.json.*copy its tokenizer.* can be adapted with speechxfer finetune"
    ):
        sx.load(str(folder), device="cpu")
    shutil.copy(tmp_path / "run" / "vocab.json", folder)
    assert sx.load(str(folder), device="cpu").head.kind == "ctc"


def test_the_folder_around_checkpoints_names_the_last_of_them(tmp_path: Path) -> None:
    for step in (500, 1000):
        ctc(tmp_path / f"checkpoint-{step}")
    with pytest.raises(CheckpointError, match=r"so it is not a model; did you mean .*checkpoint-1000\?"):
        find(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, "names 3 classes .* but the head has 2 outputs"),
        ({"id2label": {"0": "a", "1": "a"}}, "classes need distinct names"),
        ({"problem_type": "regression"}, "tells numbers and not classes"),
    ],
)
def test_a_head_for_classes_that_cannot_be_opened_is_named(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    reference("hubert", head="ForSequenceClassification").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=message):
        sx.load(str(tmp_path), device="cpu")
    assert open_checkpoint(find(str(tmp_path))).encoder.family == "hubert"


@pytest.mark.parametrize("named", [{"0": "no", "1": "yes"}, {"1": "yes", "0": "no"}, {"00": "no", "01": "yes"}])
def test_classes_are_named_by_the_numbers_of_their_outputs(named: dict[str, str], tmp_path: Path) -> None:
    reference("hubert", head="ForSequenceClassification").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "id2label": named}))
    assert sx.load(str(tmp_path), device="cpu").predict([WAVEFORM])[0].labels == ("no", "yes")  # type: ignore[union-attr]


def test_names_that_are_numbers_are_names(tmp_path: Path) -> None:
    reference("hubert", head="ForSequenceClassification").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "id2label": {"0": 10, "1": 20}}))
    assert sx.load(str(tmp_path), device="cpu").predict([WAVEFORM])[0].labels == ("10", "20")  # type: ignore[union-attr]


# What `models show` says of each


def show(folder: Path, *options: str) -> str:
    result = CliRunner().invoke(main, ["models", "show", str(folder), *options])
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(
    ("head", "settings", "expected"),
    [
        ("Model", {}, "hubert encoder: 3 layers of width 32, 50 frames/s\n"),
        ("ForCTC", {"tokens": TOKENS}, "50 frames/s, ctc head for 5 characters\n"),
        ("ForCTC", {"tokens": ["<pad>", "▁the", "s"]}, "50 frames/s, ctc head for 2 pieces of words\n"),
        ("ForCTC", {"tokens": ["a", "<pad>"]}, "its own head cannot be opened: .*'<pad>' is number 1, but config.json"),
        ("ForSequenceClassification", {"id2label": {0: "no", 1: "yes"}}, "classification head for no, yes\n"),
        ("ForSequenceClassification", {"num_labels": 12}, "head for LABEL_0, .*LABEL_9 and 2 more\n"),
    ],
)
def test_models_show_names_the_head(head: str, settings: dict[str, Any], expected: str, tmp_path: Path) -> None:
    if head == "ForCTC":
        ctc(tmp_path, "hubert", **settings)
    else:
        reference("hubert", head=head, **settings).save_pretrained(tmp_path)
    assert re.search(expected, show(tmp_path)), show(tmp_path)


def test_models_show_names_the_decoder_of_a_whisper(spelling_whisper: Path, whisper_folder: Path) -> None:
    assert "with its own decoder (--head seq2seq)" in show(spelling_whisper)
    assert "with its own decoder" in show(spelling_whisper, "--head", "seq2seq")
    assert "with its own decoder" in show(whisper_folder)
    refused = CliRunner().invoke(main, ["models", "show", str(whisper_folder), "--head", "seq2seq"])
    assert refused.exit_code != 0
    assert "lacks tokenizer.json" in refused.stderr


def test_a_saved_model_opens_without_its_weights(tmp_path: Path) -> None:
    ctc(tmp_path / "theirs")
    sx.load(str(tmp_path / "theirs"), device="cpu").save(tmp_path / "ours")
    assert_outlined_alike(tmp_path / "ours", open_checkpoint(find(str(tmp_path / "ours"))))
