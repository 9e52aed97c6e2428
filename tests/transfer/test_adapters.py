"""Low-rank adapters: what they stand beside, what moves, and that a saved model no longer needs them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
import transformers
from peft import PeftModel

import speechxfer as sx
from speechxfer.config import PlanConfig
from speechxfer.errors import ConfigError
from speechxfer.model import SpeechModel
from speechxfer.transfer.plan import TransferPlan
from tests.encoders.conftest import noise
from tests.transfer.conftest import FAMILIES, Encoders, class_head, ctc_head, model_of, output

SOUND = torch.from_numpy(noise(8_000))
every_family = pytest.mark.parametrize("family", FAMILIES)


def adapted(model: SpeechModel, **settings: object) -> TransferPlan:
    """The model with adapters that add something."""
    plan = TransferPlan.for_model(PlanConfig(**{"lora_rank": 2, **settings}), model.encoder, model.head, epochs=2)
    plan.attach(model.encoder, model.head)
    torch.manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_()
    plan.apply(model, 0)
    return plan


@every_family
def test_a_saved_model_says_what_the_one_with_adapters_says(encoders: Encoders, family: str, tmp_path: Path) -> None:
    encoder = encoders(family)
    model = model_of(encoder, class_head(encoder))
    before = output(model, SOUND)
    names = set(model.state_dict())
    adapted(model, lora_feed_forward=True)
    wanted = output(model, SOUND)
    assert not torch.allclose(wanted, before, atol=1e-3)
    model.save(tmp_path / "model")
    merged = sx.load(str(tmp_path / "model"), device="cpu")
    assert set(merged.state_dict()) == names
    torch.testing.assert_close(output(merged, SOUND), wanted, atol=1e-5, rtol=1e-5)
    assert torch.equal(output(model, SOUND), wanted), "saving changes nothing"


@every_family
def test_only_adapters_above_the_seam_and_the_head_are_trained(encoders: Encoders, family: str) -> None:
    encoder = encoders(family)
    model = model_of(encoder, ctc_head(encoder))
    plan = adapted(model, train_top=1)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == set(plan.trained(model))
    top = f"layers.{encoder.depth - 1}."
    beside = {name for name in trained if not name.startswith("head.")}
    matrices = {name.partition(".lora_")[0].rpartition(".")[2] for name in beside}
    assert matrices == {"q_proj", "k_proj", "v_proj", "out_proj"}
    assert all(top in name and ".lora_" in name for name in beside)
    assert len(beside) == 8
    assert {name for name in trained if name.startswith("head.")} == {"head.projection.weight", "head.projection.bias"}
    row = {row["part"]: row for row in plan.table(encoder, model.head)}
    assert row[f"layer {encoder.depth - 1}"]["state"] == "adapters"
    assert row[f"layer {encoder.depth - 1}"]["parameters"] == 8 * 2 * encoder.width
    assert row["layer 0"]["state"] == "frozen"


def test_the_table_counts_a_frozen_part_without_adapters(encoders: Encoders) -> None:
    encoder = encoders("wav2vec2")
    sizes = {group.name: sum(p.numel() for p in group.parameters()) for group in encoder.layer_groups()}
    model = model_of(encoder, ctc_head(encoder))
    plan = adapted(model)
    counted = {row["part"]: row["parameters"] for row in plan.table(encoder, None)}
    assert counted["convolutions"] == sizes["convolutions"]
    assert counted["projection"] == sizes["projection"], "it has no matrix of attention, so it stays as it is"
    assert counted["layer 1"] == 8 * 2 * encoder.width


def test_whisper_s_decoder_gets_adapters_too(spelling_whisper: Path, tmp_path: Path) -> None:
    model = sx.load(str(spelling_whisper), device="cpu")
    plan = adapted(model, train_top=1)
    trained = set(plan.trained(model))
    assert all(".lora_" in name for name in trained)
    assert {name.split(".")[0] for name in trained} == {"encoder", "head"}
    assert len([name for name in trained if "encoder_attn" in name]) == 8
    assert plan.head_lr == plan.encoder_lr == 1e-3, "both are ten times what whole weights get"
    targets = [[~11, ~5, ~7, 1, 2, 4]]
    with torch.no_grad():
        hidden, frames = model.encoder(SOUND[None], torch.tensor([len(SOUND)]))
        wanted = model.head.loss(hidden, frames, targets)
    model.save(tmp_path / "model")
    merged = sx.load(str(tmp_path / "model"), device="cpu")
    with torch.no_grad():
        hidden, frames = merged.encoder(SOUND[None], torch.tensor([len(SOUND)]))
        torch.testing.assert_close(merged.head.loss(hidden, frames, targets), wanted, atol=1e-5, rtol=1e-5)
    theirs, found = transformers.WhisperForConditionalGeneration.from_pretrained(
        tmp_path / "model", output_loading_info=True
    )
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    query = "model.decoder.layers.0.encoder_attn.q_proj.weight"
    assert torch.equal(theirs.state_dict()[query], merged.state_dict()[query.replace("model.", "head.", 1)])


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # PEFT's own
@pytest.mark.parametrize("family", ["wav2vec2", "wav2vec2-stable", "hubert", "wavlm", "data2vec-audio"])
def test_peft_opens_the_adapter_on_the_model_it_was_made_for(encoders: Encoders, family: str, tmp_path: Path) -> None:
    encoder = encoders(family)
    model = model_of(encoder, ctc_head(encoder))
    model.save(tmp_path / "base")
    adapted(model)
    with torch.no_grad():
        model.head.projection.weight.normal_()
    model.save(tmp_path / "model")
    base = transformers.AutoModelForCTC.from_pretrained(tmp_path / "base")
    theirs = PeftModel.from_pretrained(base, tmp_path / "model" / "adapter").eval()
    if family == "wavlm":  # which multiplies by the matrices themselves there, past any adapter
        theirs = theirs.merge_and_unload()
    normalized = ((SOUND - SOUND.mean()) / SOUND.std(correction=0))[None]
    with torch.inference_mode():
        logits = theirs(normalized).logits.log_softmax(-1)
    torch.testing.assert_close(logits, output(model, SOUND), atol=1e-4, rtol=1e-4)
    described = json.loads((tmp_path / "model" / "adapter" / "adapter_config.json").read_text())
    assert (described["r"], described["lora_alpha"], described["base_model_name_or_path"]) == (2, 4, "tiny")


@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "wavlm"])
def test_the_adapter_s_folder_opens_like_the_model_s(encoders: Encoders, family: str, tmp_path: Path) -> None:
    encoder = encoders(family)
    model = model_of(encoder, ctc_head(encoder))
    model.source = "base"
    model.save(tmp_path / "run" / "base")
    adapted(model)
    with torch.no_grad():
        model.head.projection.weight.normal_()
    model.save(tmp_path / "run" / "model")
    (tmp_path / "run" / "model" / "adapter").rename(tmp_path / "run" / "adapter")
    alone = sx.load(str(tmp_path / "run" / "adapter"), device="cpu")
    torch.testing.assert_close(output(alone, SOUND), output(model, SOUND), atol=1e-4, rtol=1e-4)


def test_a_model_without_adapters_has_no_folder_of_them(encoders: Encoders, tmp_path: Path) -> None:
    encoder = encoders("wav2vec2")
    model_of(encoder, ctc_head(encoder)).save(tmp_path / "model")
    assert not (tmp_path / "model" / "adapter").exists()


def test_without_peft_it_is_reported_what_to_install(encoders: Encoders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    encoder = encoders("wav2vec2")
    with pytest.raises(ConfigError, match=r"pip install 'speechxfer\[lora\]'"):
        adapted(model_of(encoder, ctc_head(encoder)))
