"""Weights are found under whatever names training left them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from speechxfer.config.families import FAMILIES
from speechxfer.encoders import load_encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import CheckpointError
from tests.encoders.conftest import noise, reference

PREFIXES = {"wav2vec2-stable": "wav2vec2.", "hubert": "hubert.", "wavlm": "wavlm.", "data2vec-audio": "data2vec_audio."}
#: What training put around a model.
WRAPPED: dict[str, Callable[[str], str]] = {
    "DataParallel": lambda name: f"module.{name}",
    "torch.compile": lambda name: f"_orig_mod.{name}",
    "both": lambda name: f"module._orig_mod.{name}",
    "FSDP": lambda name: f"_fsdp_wrapped_module.{name.replace('layers.0.', 'layers.0._fsdp_wrapped_module.')}",
    "recomputed": lambda name: name.replace("layers.1.", "layers.1._checkpoint_wrapped_module."),
    "compiled inside": lambda name: name.replace("encoder.", "encoder._orig_mod.", 1),
    "a module of somebody's": lambda name: f"model.{name}",
    "two modules of somebody's": lambda name: f"net.model.{name}",
}


@torch.inference_mode()
def states(folder: Path) -> torch.Tensor:
    encoder = load_encoder("tiny", *find(str(folder)).read()).eval()
    return encoder(*encoder.collate([noise(16_000)]))[0]


def renamed(folder: Path, rename: Callable[[str], str]) -> Path:
    state = load_file(folder / "model.safetensors")
    save_file({rename(name): value for name, value in state.items()}, folder / "model.safetensors")
    return folder


def check_wrapped(folder: Path) -> None:
    """The same weights are read whatever training put around the model in a folder."""
    plain, expected = load_file(folder / "model.safetensors"), find(str(folder)).read()[1]
    for wrapped, rename in WRAPPED.items():
        save_file({rename(name): value for name, value in plain.items()}, folder / "model.safetensors")
        found = find(str(folder)).read()[1]
        assert found.keys() == expected.keys(), wrapped
        assert all(torch.equal(found[name], expected[name]) for name in expected), wrapped


@pytest.mark.slow
@pytest.mark.parametrize("variant", PREFIXES)
@pytest.mark.parametrize("head", ["ForCTC", "Model"])
def test_names_of_any_wrapping_are_the_same_weights(variant: str, head: str, tmp_path: Path) -> None:
    reference(variant, head=head).save_pretrained(tmp_path)
    expected = states(tmp_path)
    check_wrapped(tmp_path)
    assert torch.equal(states(tmp_path), expected)


def test_so_are_those_of_whisper(whisper_folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((whisper_folder / name).read_bytes())
    check_wrapped(tmp_path)


def test_a_whisper_s_encoder_that_was_saved_alone_opens(whisper_folder: Path, tmp_path: Path) -> None:
    from transformers import WhisperForConditionalGeneration

    WhisperForConditionalGeneration.from_pretrained(whisper_folder).get_encoder().save_pretrained(tmp_path)
    assert torch.equal(states(tmp_path), states(whisper_folder))


@pytest.mark.parametrize("variant", ["wav2vec2-stable", "hubert", "wavlm"])
def test_weight_norm_has_two_spellings(variant: str, tmp_path: Path) -> None:
    reference(variant).save_pretrained(tmp_path)
    expected = states(tmp_path)
    folder = renamed(tmp_path, lambda name: name.replace("parametrizations.weight.original0", "weight_g").replace("parametrizations.weight.original1", "weight_v"))  # fmt: skip  # noqa: E501
    assert "encoder.pos_conv_embed.conv.weight_g" in load_file(folder / "model.safetensors")
    assert torch.equal(states(folder), expected)


def test_a_head_keeps_its_names_beside_an_encoder_without_prefix() -> None:
    names = ("encoder.conv1.weight", "decoder.embed_tokens.weight", "projector.weight", "classifier.bias", "layer_weights")  # fmt: skip  # noqa: E501
    assert list(FAMILIES["whisper"].named(dict.fromkeys(names, 0))) == [
        "model.encoder.conv1.weight",
        "model.decoder.embed_tokens.weight",
        "projector.weight",
        "classifier.bias",
        "layer_weights",
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"model_type": "speech_to_text"},
            "is a 'speech_to_text' model; wanted one of: whisper, wav2vec2, hubert, wavlm, data2vec-audio",
        ),
        ({"model_type": "unispeech"}, "is a 'unispeech' model"),
        (
            {"model_type": "custom", "auto_map": {"AutoModel": "m.M"}},
            r"is a 'custom' model; it brings code of its own \(auto_map\), which is never run",
        ),
        ({}, "its config.json names no model_type"),
        (
            {"model_type": "hubert", "auto_map": {"AutoModel": "modeling.Mine"}},
            r"brings code of its own \(auto_map\), which is never run",
        ),
        ({"model_type": "hubert", "quantization_config": {"load_in_8bit": True}}, "are quantized"),
    ],
)
def test_other_kinds_of_models_are_refused_by_name(config: dict[str, object], message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "modeling.py").write_text("raise SystemExit('ran')")
    with pytest.raises(CheckpointError, match=message):
        find(str(tmp_path)).read()


def test_another_sample_rate_is_refused(tmp_path: Path) -> None:
    reference("wav2vec2").save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"sampling_rate": 8000}')
    with pytest.raises(CheckpointError, match="listens to audio at 8000 Hz, which is not supported; wanted 16000"):
        find(str(tmp_path)).read()


@pytest.mark.parametrize(
    "change", [{"hidden_size": 33}, {"num_attention_heads": "two"}, {"conv_dim": [1]}, {"hidden_act": "x"}]
)
def test_a_configuration_of_wrong_values_is_reported(change: dict[str, object], tmp_path: Path) -> None:
    reference("hubert").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=r"its config\.json describes no hubert encoder") as caught:
        load_encoder("tiny", *find(str(tmp_path)).read())
    assert "\n" not in str(caught.value)
