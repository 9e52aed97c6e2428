"""Encoders of which only a part is taken over."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

import speechxfer as sx
from speechxfer.config import PlanConfig
from speechxfer.encoders import load_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError
from speechxfer.transfer.reshape import needs_new_head, reshape
from tests.encoders.conftest import noise, reference
from tests.transfer.conftest import FAMILIES, Encoders, class_head, ctc_head, model_of, output

every_family = pytest.mark.parametrize("family", FAMILIES)
SOUND = torch.from_numpy(noise(8_000))


def weights(encoder: Encoder) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in encoder.state_dict().items()}


def hidden(encoder: Encoder, start: int = 0) -> torch.Tensor:
    """At the top, going by way of a cut."""
    with torch.inference_mode():
        states, frames = encoder.frontend(SOUND[None], torch.tensor([len(SOUND)]))
        return encoder.run(encoder.run(states, frames, 0, start), frames, start, encoder.depth)


@every_family
def test_without_its_upper_layer_it_is_what_stood_below(encoders: Encoders, family: str) -> None:
    whole, encoder = encoders(family), encoders(family)
    reshape(PlanConfig(drop_top=1), encoder)
    assert encoder.depth == whole.depth - 1
    with torch.inference_mode():
        states, frames = whole.frontend(SOUND[None], torch.tensor([len(SOUND)]))
        below = whole._leave(whole.run(states, frames, 0, whole.depth - 1))
    torch.testing.assert_close(hidden(encoder), below)


@pytest.mark.parametrize("family", ["wav2vec2", "wav2vec2-stable", "hubert", "wavlm", "data2vec-audio"])
def test_what_is_left_opens_in_transformers_and_here(encoders: Encoders, family: str, tmp_path: Path) -> None:
    encoder = encoders(family)
    reshape(PlanConfig(drop_top=2), encoder)
    model = model_of(encoder, ctc_head(encoder))
    model.save(tmp_path / "model")
    theirs, found = transformers.AutoModelForCTC.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    assert theirs.config.num_hidden_layers == 1
    again = sx.load(str(tmp_path / "model"), device="cpu")
    assert again.encoder.depth == 1
    assert torch.equal(output(again, SOUND), output(model, SOUND))
    normalized = (SOUND - SOUND.mean()) / SOUND.std(correction=0)
    with torch.inference_mode():
        logits = theirs.eval()(normalized[None]).logits
    torch.testing.assert_close(logits.log_softmax(-1), output(model, SOUND), atol=1e-4, rtol=0)


def test_a_whisper_with_fewer_layers_and_its_decoder_opens_in_transformers(
    spelling_whisper: Path, tmp_path: Path
) -> None:
    model = sx.load(str(spelling_whisper), device="cpu")
    reshape(PlanConfig(drop_top=1), model.encoder)
    model.save(tmp_path / "model")
    auto = transformers.WhisperForConditionalGeneration
    theirs, found = auto.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    assert (theirs.config.encoder_layers, theirs.config.decoder_layers) == (1, 1)
    assert sx.load(str(tmp_path / "model"), device="cpu").encoder.depth == 1


@every_family
def test_only_the_upper_layers_begin_anew_as_the_family_begins(encoders: Encoders, family: str) -> None:
    encoder = encoders(family)
    before = weights(encoder)
    reshape(PlanConfig(reinit_top=1), encoder)
    top = f"layers.{encoder.depth - 1}."
    moved = {name for name, value in weights(encoder).items() if not torch.equal(value, before[name])}
    assert moved
    assert all(top in name for name in moved)
    matrices = [name for name in before if top in name and name.endswith("q_proj.weight")]
    assert set(matrices) <= moved
    scale = encoder.config.init_std if family == "whisper" else encoder.config.initializer_range
    for name in matrices:
        assert float(encoder.state_dict()[name].std()) == pytest.approx(scale, rel=0.2)


@every_family
def test_from_scratch_nothing_is_left_of_what_was_learned(encoders: Encoders, family: str) -> None:
    encoder = encoders(family)
    before = weights(encoder)
    reshape(PlanConfig(preset="from-scratch"), encoder)
    after = weights(encoder)
    assert {name: value.shape for name, value in after.items()} == {name: value.shape for name, value in before.items()}
    for name, value in after.items():
        if value.ndim > 1 and "embed_positions" not in name:
            assert not torch.equal(value, before[name]), name


def test_a_lower_layers_preset_halves_the_encoder_and_asks_for_nothing_twice(encoders: Encoders) -> None:
    encoder = encoders("whisper")
    config = reshape(PlanConfig(preset="lower-layers"), encoder)
    assert (encoder.depth, config.drop_top, config.train_top, config.preset) == (1, None, 1, "")
    assert reshape(config, encoder) == config
    assert encoder.depth == 1


def test_pooled_frames_need_a_layer_above_them(encoders: Encoders) -> None:
    encoder = encoders("wav2vec2")
    encoder.set_pooling(1, 2)
    with pytest.raises(ConfigError, match=r"pools its frames at layer index 1 and needs .*; wanted at most 1"):
        reshape(PlanConfig(drop_top=2), encoder)
    with pytest.raises(ConfigError, match="exclude each other"):
        reshape(PlanConfig(weighted_layer_sum=True), encoder)


@every_family
def test_a_stack_of_layers_is_the_same_by_way_of_every_cut(encoders: Encoders, family: str) -> None:
    plain, encoder = encoders(family), encoders(family)
    reshape(PlanConfig(weighted_layer_sum=True), encoder)
    whole = hidden(encoder)
    assert whole.shape[-1] == encoder.width * (encoder.depth + 1) == encoder.width_at(encoder.depth)
    for cut in range(encoder.depth + 1):
        torch.testing.assert_close(hidden(encoder, cut), whole)
        with torch.inference_mode():
            states, frames = plain.frontend(SOUND[None], torch.tensor([len(SOUND)]))
            if 0 < cut < plain.depth:
                own = plain.run(states, frames, 0, cut)
                torch.testing.assert_close(whole[..., cut * encoder.width : (cut + 1) * encoder.width], own)


@pytest.mark.parametrize("family", ["wav2vec2", "wav2vec2-stable", "hubert", "wavlm", "data2vec-audio"])
def test_a_published_classifier_of_all_layers_opens_here_and_goes_back(family: str, tmp_path: Path) -> None:
    theirs = reference(family, head="ForSequenceClassification", use_weighted_layer_sum=True, num_labels=3)
    theirs.save_pretrained(tmp_path / "theirs")
    ours = sx.load(str(tmp_path / "theirs"), device="cpu")
    assert ours.encoder.stacked
    ours.save(tmp_path / "ours")
    back, found = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    normalized = ((SOUND - SOUND.mean()) / SOUND.std(correction=0))[None]
    with torch.inference_mode():
        wanted = theirs(normalized).logits
        for logits in (output(ours, SOUND), back.eval()(normalized).logits):
            torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=0)
    assert torch.equal(output(sx.load(str(tmp_path / "ours"), device="cpu"), SOUND), output(ours, SOUND))


def test_a_padded_whisper_classifies_all_its_layers_as_transformers_does(whisper_folder: Path, tmp_path: Path) -> None:
    encoder = load_encoder("tiny", *find(str(whisper_folder)).read(), pad_to_30s=True).eval()
    reshape(PlanConfig(weighted_layer_sum=True), encoder)
    model = model_of(encoder, class_head(encoder))
    with torch.no_grad():
        model.head.layer_sum.weights.copy_(torch.tensor([0.5, -1.0, 2.0]))
    model.save(tmp_path / "model")
    theirs, found = transformers.WhisperForAudioClassification.from_pretrained(
        tmp_path / "model", output_loading_info=True
    )
    assert not found["missing_keys"]
    with torch.inference_mode():
        features = encoder.features(SOUND[None], torch.tensor([len(SOUND)]))
        torch.testing.assert_close(theirs.eval()(features).logits, output(model, SOUND), atol=1e-4, rtol=0)


def test_the_weights_of_layers_are_kept_with_a_head_that_transformers_lacks(encoders: Encoders, tmp_path: Path) -> None:
    encoder = encoders("wav2vec2")
    reshape(PlanConfig(weighted_layer_sum=True), encoder)
    model = model_of(encoder, ctc_head(encoder))
    with torch.no_grad():
        model.head.layer_sum.weights.copy_(torch.tensor([3.0, 0.0, -3.0, 1.0]))
    model.save(tmp_path / "model")
    assert not (tmp_path / "model" / "config.json").exists()
    assert torch.equal(output(sx.load(str(tmp_path / "model"), device="cpu"), SOUND), output(model, SOUND))


@pytest.mark.parametrize(
    ("settings", "new"),
    [
        ({}, False), ({"preset": "fine-tune"}, False), ({"preset": "lora"}, False),
        ({"weighted_layer_sum": False}, False), ({"preset": "lower-layers"}, True),
        ({"drop_top": 1}, True), ({"reinit_top": 1}, True),
        ({"preset": "from-scratch"}, True), ({"weighted_layer_sum": True}, True),
    ],
)  # fmt: skip
def test_a_head_is_kept_where_it_reads_what_it_was_trained_on(
    encoders: Encoders, settings: dict[str, object], new: bool
) -> None:
    assert needs_new_head(PlanConfig(**settings), encoders("wav2vec2")) is new
