"""Adapters that PEFT left alone or beside their model give what PEFT gives with them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import speechxfer as sx
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import CheckpointError
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.opening import open_checkpoint
from tests.encoders.conftest import noise, reference

pytestmark = pytest.mark.filterwarnings("ignore")  # PEFT's and those of what it calls, which are not ours

TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C", "'"]
SPELLED = [0, 4, 5, 6, 7, 8]  # the outputs that are no special tokens
TARGETS = ["q_proj", "v_proj"]
WAVEFORM = noise(8000)
NORMALIZED = torch.from_numpy((WAVEFORM - WAVEFORM.mean()) / np.sqrt(WAVEFORM.var() + 1e-7))[None]
LORA = peft.LoraConfig


def ctc(variant: str = "wav2vec2-stable") -> Any:
    return reference(variant, head="ForCTC", vocab_size=len(TOKENS), pad_token_id=0)


def spell(folder: Path) -> Path:
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(TOKENS)}))
    (folder / "preprocessor_config.json").write_text('{"do_normalize": true}')
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def folder(variant: str = "wav2vec2-stable") -> Path:
        if variant not in made:
            made[variant] = tmp_path_factory.mktemp(variant)
            ctc(variant).save_pretrained(made[variant])
            spell(made[variant])
        return made[variant]

    return folder


def adapted(model: Any, config: Any, folder: Path, *, base: Path | str) -> torch.Tensor:
    """Set a random adapter into a model, leave it in a folder, and say what PEFT computes with it."""
    wrapped = peft.get_peft_model(model, config)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape))
    with torch.inference_mode():
        expected = wrapped.eval()(NORMALIZED).logits[0]
    wrapped.peft_config["default"].base_model_name_or_path = str(base)
    wrapped.save_pretrained(folder, save_embedding_layers=False)
    return expected


@torch.inference_mode()
def logits(folder: Path | str) -> torch.Tensor:
    opened = open_checkpoint(find(str(folder)))
    assert isinstance(opened.head, CTCHead), opened.problem
    opened.encoder.eval()
    return opened.head.logits(opened.encoder(*opened.encoder.collate([WAVEFORM]))[0])[0]


def same(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected[:, SPELLED], atol=1e-4, rtol=1e-4)


KINDS: dict[str, Any] = {
    "lora": LORA(r=4, target_modules=TARGETS),
    "rank-stabilized": LORA(r=4, target_modules=TARGETS, use_rslora=True),
    "weight-decomposed": LORA(r=4, target_modules=TARGETS, use_dora=True),
    "biases of adapted layers": LORA(r=4, target_modules=TARGETS, bias="lora_only"),
    "all biases": LORA(r=4, target_modules=TARGETS, bias="all"),
    "a bias of its own": LORA(r=4, target_modules=TARGETS, lora_bias=True),
    "whole modules": LORA(r=4, target_modules=TARGETS, modules_to_save=["lm_head", "layer_norm"]),
    "ranks by name": LORA(r=4, target_modules=TARGETS, rank_pattern={"q_proj": 8}, alpha_pattern={"v_proj": 32}),
    "an expression": LORA(r=4, target_modules=r".*\.layers\.[01]\..*(q_proj|output_dense)"),
    "all linear": LORA(r=4, target_modules="all-linear"),
    "some layers": LORA(r=4, target_modules=TARGETS, layers_to_transform=[1]),
    "convolutions": LORA(r=4, target_modules=["conv_layers.3.conv", "q_proj"]),
    "begun by singular values": LORA(r=4, target_modules=TARGETS, init_lora_weights="pissa"),
    "adalora": peft.AdaLoraConfig(target_modules=TARGETS, total_step=10),
    "ia3": peft.IA3Config(target_modules=["k_proj", "output_dense"], feedforward_modules=["output_dense"]),
    "loha": peft.LoHaConfig(target_modules=TARGETS),
    "lokr": peft.LoKrConfig(target_modules=TARGETS),
    "vera": peft.VeraConfig(target_modules=TARGETS),
    "oft": peft.OFTConfig(target_modules=TARGETS, r=4, oft_block_size=0),
    "hra": peft.HRAConfig(target_modules=TARGETS),
    "fourier": peft.FourierFTConfig(target_modules=TARGETS, n_frequency=50),
    "c3a": peft.C3AConfig(target_modules=TARGETS, block_size=4),
    "norms": peft.LNTuningConfig(target_modules=["layer_norm"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_alone_gives_what_peft_gives(kind: str, base: Callable[..., Path], tmp_path: Path) -> None:
    expected = adapted(ctc(), KINDS[kind], tmp_path / "adapter", base=base())
    assert not (tmp_path / "adapter" / "config.json").exists()
    same(logits(tmp_path / "adapter"), expected)


@pytest.mark.parametrize("variant", ["hubert", "data2vec-audio", "wav2vec2-adapters"])
def test_so_it_does_in_every_family(variant: str, base: Callable[..., Path], tmp_path: Path) -> None:
    config = LORA(r=4, target_modules=TARGETS, modules_to_save=["lm_head"])
    expected = adapted(ctc(variant), config, tmp_path / "adapter", base=base(variant))
    same(logits(tmp_path / "adapter"), expected)


@pytest.mark.parametrize("variant", ["wav2vec2-stable", "hubert"])
def test_an_adapter_beside_its_model_is_merged(variant: str, base: Callable[..., Path], tmp_path: Path) -> None:
    folder = shutil.copytree(base(variant), tmp_path / "both")
    config = LORA(r=4, target_modules=TARGETS, modules_to_save=["layer_norm"])
    expected = adapted(ctc(variant), config, folder, base="nowhere/else")
    same(logits(folder), expected)
    if variant != "wav2vec2-stable":  # whose class has another method of the name that `transformers` calls here
        theirs = transformers.AutoModelForCTC.from_pretrained(folder).eval()
        with torch.inference_mode():
            same(logits(folder), theirs(NORMALIZED).logits[0])


def test_of_several_adapters_the_one_in_the_folder_itself_counts(base: Callable[..., Path], tmp_path: Path) -> None:
    expected = adapted(ctc(), KINDS["lora"], tmp_path / "adapter", base=base())
    adapted(ctc(), KINDS["whole modules"], tmp_path / "adapter" / "other", base=base())
    same(logits(tmp_path / "adapter"), expected)


def test_a_folder_of_adapters_only_names_one(base: Callable[..., Path], tmp_path: Path) -> None:
    adapted(ctc(), KINDS["lora"], tmp_path / "adapters" / "german", base=base())
    with pytest.raises(CheckpointError, match=r"holds no config\.json.*did you mean .*adapters/german"):
        find(str(tmp_path / "adapters"))


def test_a_pickled_adapter_is_read(base: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    expected = adapted(ctc(), KINDS["lora"], folder, base=base())
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()
    same(logits(folder), expected)


def test_a_head_that_comes_with_the_adapter_replaces_the_model_s(tmp_path: Path) -> None:
    """As after fine-tuning a pre-trained encoder: the model below has another head, or none."""
    for number, head in enumerate(("Model", "ForPreTraining", "ForCTC")):
        bare = tmp_path / f"bare{number}"
        reference("wav2vec2-stable", head=head).save_pretrained(bare)
        model = transformers.Wav2Vec2ForCTC.from_pretrained(
            bare, vocab_size=len(TOKENS), pad_token_id=0, ignore_mismatched_sizes=True
        )
        folder = tmp_path / f"adapter{number}"
        expected = adapted(model, LORA(r=4, target_modules=TARGETS, modules_to_save=["lm_head"]), folder, base=bare)
        same(logits(spell(folder)), expected)


def test_a_head_for_classes_that_comes_with_the_adapter_has_usual_names(tmp_path: Path) -> None:
    reference("wav2vec2-stable").save_pretrained(tmp_path / "bare")
    (tmp_path / "bare" / "preprocessor_config.json").write_text('{"do_normalize": true}')
    model = transformers.Wav2Vec2ForSequenceClassification.from_pretrained(tmp_path / "bare", num_labels=3, classifier_proj_size=8)  # fmt: skip  # noqa: E501
    config = LORA(r=4, target_modules=TARGETS, modules_to_save=["projector", "classifier"])
    expected = adapted(model, config, tmp_path / "adapter", base=tmp_path / "bare").softmax(-1).tolist()
    prediction = sx.load(str(tmp_path / "adapter"), device="cpu").predict([WAVEFORM])[0]
    assert prediction.labels == ("LABEL_0", "LABEL_1", "LABEL_2")  # type: ignore[union-attr]
    assert prediction.probabilities == pytest.approx(tuple(expected), abs=1e-4)  # type: ignore[union-attr]


def test_a_head_that_was_never_trained_is_none(tmp_path: Path) -> None:
    """The adapter was trained in a model with a head, but without it."""
    reference("wav2vec2-stable").save_pretrained(tmp_path / "bare")
    model = transformers.Wav2Vec2ForCTC.from_pretrained(tmp_path / "bare", vocab_size=len(TOKENS), pad_token_id=0)
    adapted(model, KINDS["lora"], tmp_path / "adapter", base=tmp_path / "bare")
    opened = open_checkpoint(find(str(tmp_path / "adapter")))
    assert (opened.head, opened.problem) == (None, None)


def test_an_adapter_of_the_encoder_alone_leaves_the_head(base: Callable[..., Path], tmp_path: Path) -> None:
    model = ctc()
    folder = shutil.copytree(base(), tmp_path / "both")
    wrapped = peft.get_peft_model(model.wav2vec2, LORA(r=4, target_modules=TARGETS, init_lora_weights=False))
    wrapped.save_pretrained(folder, save_embedding_layers=False)
    with torch.inference_mode():
        model.wav2vec2 = wrapped.merge_and_unload()
        same(logits(folder), model.eval()(NORMALIZED).logits[0])


def test_what_was_merged_is_saved_and_opens_in_transformers(base: Callable[..., Path], tmp_path: Path) -> None:
    expected = adapted(ctc(), KINDS["lora"], tmp_path / "adapter", base=base())
    sx.load(str(tmp_path / "adapter"), device="cpu").save(tmp_path / "merged")
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    same(logits(tmp_path / "merged"), expected)
    theirs = transformers.AutoModelForCTC.from_pretrained(tmp_path / "merged").eval()
    with torch.inference_mode():
        found = theirs(NORMALIZED).logits[0]
    torch.testing.assert_close(found, expected[:, SPELLED], atol=1e-4, rtol=1e-4)


# Where the model below it is


def test_the_model_is_found_beside_the_adapter(
    base: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a relative name, and by one from another machine."""
    shutil.copytree(base(), tmp_path / "models" / "base")
    monkeypatch.chdir(tmp_path)
    for name in ("models/base", "../base", "base", "/content/drive/base", r"C:\models\base"):
        expected = adapted(ctc(), KINDS["lora"], tmp_path / "models" / "adapter", base=name)
        same(logits("models/adapter"), expected)


def test_a_folder_that_happens_to_be_called_like_the_hub_s_model_is_not_taken_for_it(
    base: Callable[..., Path], tmp_path: Path
) -> None:
    shutil.copytree(base(), tmp_path / "whisper-tiny")
    adapted(ctc(), KINDS["lora"], tmp_path / "adapter", base="openai/whisper-tiny")
    with pytest.raises(CheckpointError, match="is an adapter of openai/whisper-tiny, which is not found"):
        find(str(tmp_path / "adapter"))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        (None, r"adapter_config\.json: does not name the model it belongs to; set base_model_name_or_path"),
        (
            "nobody/nothing",
            r"is an adapter of nobody/nothing, which is not found \(.*HF_HUB_OFFLINE.*set base_model_name",
        ),
        (".", "names its own folder as the model it belongs to"),
    ],
)
def test_a_model_that_is_nowhere_is_reported(
    named: str | None, message: str, base: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapted(ctc(), KINDS["lora"], tmp_path / "adapter", base=base())
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": named}))
    monkeypatch.chdir(tmp_path / "adapter")
    with pytest.raises(CheckpointError, match=message) as caught:
        find(str(tmp_path / "adapter"))
    assert "\n" not in str(caught.value)


# What cannot be merged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4}, r"its adapter \(PREFIX_TUNING\) is of a kind that"),
        ({"peft_type": "XLORA", "adapters": {"a": "nobody/x"}}, r"its adapter \(XLORA\) is of a kind that"),
        ({"peft_type": "TELEPATHY"}, r"\(TELEPATHY\) is of a kind that is not supported; wanted one of: LORA, ADALORA"),
        ({"peft_type": None}, r"its adapter \(None\) is of a kind that"),
        ({"megatron_config": {"a": 1}, "megatron_core": "runs_code"}, r"its adapter \(LORA\) is of a kind that"),
        ({"r": 8}, r"its adapter \(LORA\) cannot be merged"),
        ({"target_modules": ["fc1"]}, r"its adapter \(LORA\) cannot be merged"),
        ({"target_modules": ["q_proj"]}, r"its weights do not fit: .*v_proj"),
    ],
)
def test_an_adapter_that_cannot_be_merged_is_refused_by_name(
    change: dict[str, Any], message: str, base: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    adapted(ctc(), KINDS["lora"], folder, base=base())
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=message) as caught:
        open_checkpoint(find(str(folder)))
    assert "\n" not in str(caught.value)


def test_a_model_of_wrong_values_below_an_adapter_is_reported(base: Callable[..., Path], tmp_path: Path) -> None:
    folder = shutil.copytree(base(), tmp_path / "both")
    adapted(ctc(), KINDS["lora"], folder, base="x")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_attention_heads": "two"}))
    with pytest.raises(CheckpointError, match=r"the config\.json below its adapter describes no Wav2Vec2ForCTC"):
        open_checkpoint(find(str(folder)))


def test_an_adapter_of_another_model_is_refused(base: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    adapted(ctc(), KINDS["lora"], folder, base=base())
    save_file(
        {"base_model.model.visual.q_proj.lora_A.weight": torch.zeros(4, 32)}, folder / "adapter_model.safetensors"
    )
    with pytest.raises(CheckpointError, match=r"belongs to modules that no Wav2Vec2 model has \(visual\)"):
        open_checkpoint(find(str(folder)))


def test_adapter_weights_that_were_not_downloaded_are_reported(base: Callable[..., Path], tmp_path: Path) -> None:
    folder = shutil.copytree(base(), tmp_path / "both")
    adapted(ctc(), KINDS["lora"], folder, base="x")
    (folder / "adapter_model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(CheckpointError, match=r"adapter_model\.safetensors: is a pointer of Git LFS"):
        open_checkpoint(find(str(folder)))
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"wanted adapter_model\.safetensors"):
        open_checkpoint(find(str(folder)))


def test_without_peft_an_adapter_is_refused_with_the_next_step(
    base: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapted(ctc(), KINDS["lora"], tmp_path / "adapter", base=base())
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(CheckpointError, match=r"holds an adapter of PEFT \(LORA\).*pip install 'speechxfer\[lora\]'"):
        open_checkpoint(find(str(tmp_path / "adapter")))


def test_an_adapter_beside_one_of_our_models_is_not_left_out(base: Callable[..., Path], tmp_path: Path) -> None:
    sx.load(str(base()), device="cpu").save(tmp_path / "ours")
    smaller = transformers.AutoModelForCTC.from_pretrained(tmp_path / "ours")
    adapted(smaller, KINDS["lora"], tmp_path / "ours", base="x")
    with pytest.raises(CheckpointError, match=r"holds an adapter of PEFT \(adapter_config\.json\) beside an adapted"):
        sx.load(str(tmp_path / "ours"), device="cpu")
