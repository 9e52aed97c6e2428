"""MMS: a language's adapters, vocabulary and head are chosen when a model is opened, and can be trained alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from soundfile import write

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.config import PlanConfig
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.opening import open_checkpoint
from speechxfer.training.sources import model_digest
from speechxfer.transfer.plan import TransferPlan
from speechxfer.transfer.reshape import needs_new_head, reshape
from tests.encoders.conftest import noise, reference
from tests.training.conftest import Runs, interrupted, runs

__all__ = ["runs"]

TOLERANCE = 1e-4
LETTERS = {"eng": "abc", "ita": "abcdè", "azj-script_latin": "abcə", "azj-script_cyrillic": "абв", "swh": "ab"}
WAVEFORM = noise(9_000)
#: The weights of the languages by their seeds, so that no two are alike.
SEEDS = {tag: seed for seed, tag in enumerate(LETTERS)}


def vocabulary(tag: str) -> dict[str, int]:
    return {token: number for number, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *LETTERS[tag]])}


def in_language(tag: str) -> Any:
    """The reference with the adapters and the head of a language; everything else is the same in all of them."""
    model = reference("wav2vec2-adapters", head="ForCTC", vocab_size=len(vocabulary(tag)), pad_token_id=0)
    torch.manual_seed(SEEDS[tag])
    with torch.no_grad():
        for parameter in model._get_adapters().values():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
    return model


@pytest.fixture(scope="module")
def languages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of several languages, as `facebook/mms-1b-all` is one; it is set to English."""
    folder = tmp_path_factory.mktemp("languages")
    in_language("eng").save_pretrained(folder)
    for tag in LETTERS:
        own = {name: value.detach().contiguous() for name, value in in_language(tag)._get_adapters().items()}
        save_file(own, folder / f"adapter.{tag}.safetensors")
    (folder / "vocab.json").write_text(json.dumps({tag: vocabulary(tag) for tag in LETTERS}))
    set_to(folder, "eng")
    (folder / "preprocessor_config.json").write_text('{"do_normalize": true}')
    return folder


@pytest.fixture
def mms(languages: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(languages, tmp_path / "mms")


def set_to(folder: Path, tag: str | None) -> None:
    settings = {"tokenizer_class": "Wav2Vec2CTCTokenizer", "target_lang": tag}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def inputs() -> torch.Tensor:
    return transformers.Wav2Vec2FeatureExtractor()(WAVEFORM, sampling_rate=16_000, return_tensors="pt")["input_values"]


@torch.inference_mode()
def logits(model: sx.SpeechModel) -> torch.Tensor:
    """Of the letters, in the order of the reference, whose other tokens are never written."""
    hidden, _ = model.encoder(*model.encoder.collate([WAVEFORM]))
    assert isinstance(model.head, CTCHead)
    return model.head.logits(hidden)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_a_language_is_opened_as_transformers_opens_it(mms: Path, tmp_path: Path) -> None:
    original = transformers.Wav2Vec2ForCTC.from_pretrained(mms, target_lang="ita", ignore_mismatched_sizes=True).eval()
    model, *others = (sx.load(str(mms), language=name) for name in ("ita", "it", "Italian"))
    assert {one.language for one in (model, *others)} == {"ita"}
    assert all(torch.equal(logits(one), logits(model)) for one in others)
    assert model.head.vocabulary.symbols == (" ", *LETTERS["ita"])
    with torch.inference_mode():
        expected = original(inputs()).logits
    kept = [0, *range(4, 4 + len(model.head.vocabulary.symbols))]
    close(logits(model), expected[..., kept])
    model.save(tmp_path / "saved")
    again = transformers.Wav2Vec2ForCTC.from_pretrained(tmp_path / "saved").eval()
    tokenizer = transformers.Wav2Vec2CTCTokenizer.from_pretrained(tmp_path / "saved")
    with torch.inference_mode():
        close(again(inputs()).logits, logits(model))
    assert again.config.adapter_attn_dim == 4
    assert tokenizer.decode(again(inputs()).logits[0].argmax(-1)) == model.recognize([WAVEFORM])[0].text
    assert sx.load(str(tmp_path / "saved"), language="Italian").language == "ita"


def test_without_a_language_it_is_the_one_that_the_folder_is_set_to(mms: Path) -> None:
    save_file({"lm_head.bias": torch.zeros(1)}, mms / "adapter.eng.safetensors")  # not read
    model = sx.load(str(mms))
    assert (model.language, model.head.vocabulary.symbols) == ("eng", (" ", *"abc"))
    with torch.inference_mode():
        close(logits(model), in_language("eng")(inputs()).logits[..., [0, 4, 5, 6, 7]])


def test_the_adapters_of_the_folder_s_own_language_may_be_in_its_weights_only(mms: Path) -> None:
    own = logits(sx.load(str(mms), language="English"))
    (mms / "adapter.eng.safetensors").unlink()
    assert torch.equal(logits(sx.load(str(mms), language="English")), own)


def test_the_adapters_may_be_a_pickle_of_tensors(mms: Path) -> None:
    expected, file = logits(sx.load(str(mms), language="ita")), mms / "adapter.ita.safetensors"
    torch.save(load_file(file), mms / "adapter.ita.bin")
    file.unlink()
    assert torch.equal(logits(sx.load(str(mms), language="ita")), expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Klingon", r"mms: lacks the language 'Klingon' among its 5 \(for instance eng, .*--attention-adapters new"),
        ("itta", r"lacks the language 'itta' among its 5 \(closest: ita\)"),
        ("Itlian", r"\(closest: .*ita"),
        ("az", r"has 'az' as azj-script_latin, azj-script_cyrillic; choose one of them \(--language azj-script_latin"),
    ],
)
def test_a_language_that_it_lacks_is_refused_with_those_that_are_close(mms: Path, name: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        find(str(mms), language=name)


def test_one_of_several_scripts_is_chosen_by_its_tag(mms: Path) -> None:
    assert sx.load(str(mms), language="azj-script_cyrillic").head.vocabulary.symbols == (" ", *"абв")
    assert sx.FinetuneConfig("m", "t", "d", "o", language="azj-script_cyrillic").language == "azj-script_cyrillic"


@pytest.mark.parametrize("tag", [None, "deu"])
def test_a_folder_that_is_set_to_no_language_needs_one(mms: Path, tag: str | None) -> None:
    set_to(mms, tag)
    with pytest.raises(CheckpointError, match=r"has 5 languages and is set to none .* choose one \(--language eng\)"):
        sx.load(str(mms))
    assert sx.load(str(mms), language="ita").language == "ita"


def test_a_file_that_is_missing_or_does_not_fit_is_named(mms: Path) -> None:
    file = mms / "adapter.ita.safetensors"
    whole = load_file(file)
    name = "wav2vec2.encoder.layers.1.adapter_layer.linear_1.weight"
    for changed, message in (
        ({**whole, name: torch.zeros(2, 2)}, f"{name} is 2 x 2, wanted 4 x 32"),
        ({key: value for key, value in whole.items() if key != name}, f"{name} is missing, wanted 4 x 32"),
        ({key: value for key, value in whole.items() if "lm_head" not in key}, "has adapters, but no CTC head"),
    ):
        save_file(changed, file)
        with pytest.raises(CheckpointError, match=rf"adapter\.ita\.safetensors: .*{message}"):
            sx.load(str(mms), language="ita")
    file.unlink()
    with pytest.raises(
        CheckpointError, match=r"mms: lacks adapter\.ita\.safetensors, the weights of the language 'ita'; copy"
    ):
        sx.load(str(mms), language="ita")


def test_a_call_may_not_name_another_language(mms: Path) -> None:
    model = sx.load(str(mms), language="ita")
    text = model.transcribe(WAVEFORM, sample_rate=16_000).text
    assert model.transcribe(WAVEFORM, sample_rate=16_000, language="Italian").text == text
    with pytest.raises(ConfigError, match="language is 'eng', but the model was opened in 'ita'; leave"):
        model.transcribe(WAVEFORM, sample_rate=16_000, language="eng")


def test_a_model_of_one_language_has_no_choice(tmp_path: Path) -> None:
    reference("wav2vec2", head="ForCTC", vocab_size=3, pad_token_id=0).save_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_text('{"<pad>": 0, "a": 1, "b": 2}')
    with pytest.raises(ConfigError, match="language is 'it', but a ctc head has no such option"):
        sx.load(str(tmp_path), language="it")
    assert open_checkpoint(find(str(tmp_path), language="it")).language == ""


def test_commands_open_the_language(mms: Path, tmp_path: Path) -> None:
    write(tmp_path / "a.wav", WAVEFORM, 16_000)
    (tmp_path / "m.jsonl").write_text('{"audio": "a.wav", "text": "abc"}\n')
    expected = sx.load(str(mms), language="ita").transcribe(tmp_path / "a.wav").text

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(main, [*arguments, "--language", "it"], catch_exceptions=False)

    assert run("transcribe", str(mms), str(tmp_path / "a.wav")).stdout.strip() == expected
    scores = json.loads(run("evaluate", str(mms), str(tmp_path / "m.jsonl")).stdout)
    assert (scores["language"], scores["worst"][0]["hypothesis"]) == ("it", expected)
    assert "ctc head for 6 characters" in run("models", "show", str(mms)).stdout


@pytest.mark.slow
def test_probes_and_plans_open_the_language(mms: Path, runs: Runs) -> None:
    data: dict[str, Any] = {"train": runs.base["train"], "dev": runs.base["dev"], "device": "cpu"}
    with pytest.raises(CheckpointError, match="lacks the language 'Klingon'"):
        sx.plan([str(mms)], **data, language="Klingon", output=runs.folder / "plan.toml")
    with pytest.raises(CheckpointError, match="lacks the language 'Klingon'"):
        sx.probe(str(mms), **data, language="Klingon")
    found, _ = sx.probe(str(mms), **data, language="ita", layers=[3])
    assert found.best.seam == 3


def test_without_weights_the_head_has_the_size_of_the_language(mms: Path) -> None:
    checkpoint = replace(find(str(mms), language="ita"), has_weights=False)
    with torch.device("meta"):
        opened = open_checkpoint(checkpoint)
    assert opened.head is not None, opened.problem
    assert opened.head.summary() == "ctc head for 6 characters"


def test_the_digest_of_a_model_is_that_of_the_language_that_is_used(mms: Path) -> None:
    first = {tag: model_digest(find(str(mms), language=tag)) for tag in ("eng", "ita")}
    save_file({"lm_head.bias": torch.zeros(1)}, mms / "adapter.ita.safetensors")
    second = {tag: model_digest(find(str(mms), language=tag)) for tag in ("eng", "ita")}
    assert first["eng"] == second["eng"]
    assert first["ita"] != second["ita"]


# Training


@pytest.fixture
def adapting(runs: Runs, mms: Path) -> Runs:
    runs.base |= {"model": str(mms), "language": "ita", "plan": {"attention_adapters": "own"}}
    runs.base["training"] |= {"epochs": 2}
    return runs


def changed(before: Any, after: Any) -> set[str]:
    """What is not equal any more: "adapters" or another part of the encoder."""
    keys = {key for key, value in before.state_dict().items() if not torch.equal(value, after.state_dict()[key])}
    return {"adapters" if ".adapter_layer." in key else key for key in keys}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["own", "new"])
def test_the_adapters_alone_are_trained(adapting: Runs, mms: Path, kind: str) -> None:
    log = adapting.run("run", {"plan": {"attention_adapters": kind}})
    assert "in 'ita' of its 5 languages" in log
    model = sx.load(str(adapting.folder / "run" / "model"))
    assert changed(open_checkpoint(find(str(mms), language="ita")).encoder, model.encoder) == {"adapters"}
    has_own_letters = model.head.vocabulary.symbols == (" ", *LETTERS["ita"])
    assert has_own_letters == (kind == "own")
    assert model.language == "ita"
    again = transformers.Wav2Vec2ForCTC.from_pretrained(adapting.folder / "run" / "model").eval()
    with torch.inference_mode():
        close(again(inputs()).logits, logits(model))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["own", "new"])
def test_a_run_of_adapters_resumes_exactly(adapting: Runs, kind: str) -> None:
    settings = {"plan": {"attention_adapters": kind}, "training": {"dropout": 0.1}}
    adapting.run("whole", settings)
    interrupted(adapting, "resumed", 5, settings)
    adapting.run("resumed", settings, resume=True)
    assert adapting.metrics("whole") == adapting.metrics("resumed")


def test_a_new_language_begins_where_the_model_has_none(adapting: Runs) -> None:
    """The model is opened in its own language, which is not that of what is learned."""
    adapting.run("run", {"language": "", "plan": {"attention_adapters": "new"}})
    model = sx.load(str(adapting.folder / "run" / "model"))
    assert (model.language, model.head.summary()) == ("", "ctc head for 4 characters")


def test_new_adapters_are_random_and_differ_from_the_language_s_own(mms: Path) -> None:
    def adapters(kind: str, seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        encoder, config = open_checkpoint(find(str(mms), language="ita")).encoder, PlanConfig(attention_adapters=kind)
        assert needs_new_head(config, encoder) is (kind == "new")
        reshape(config, encoder)
        return encoder.modules_.encoder.layers[1].adapter_layer.linear_1.weight

    assert torch.equal(adapters("own", 1), adapters("own", 2))
    assert not torch.equal(adapters("new", 1), adapters("new", 2))
    assert not torch.equal(adapters("new", 1), adapters("own", 1))


def test_adapters_in_some_layers_leave_those_below_to_be_computed_once(mms: Path) -> None:
    opened = open_checkpoint(find(str(mms), language="ita"))
    plan = TransferPlan.for_model(
        PlanConfig(attention_adapters="own", train_top=1), opened.encoder, opened.head, epochs=2, new_head=False
    )
    assert (plan.seam, plan.encoder_lr) == (2, 1e-3)
    states = {row["part"]: row["state"] for row in plan.table(opened.encoder, opened.head)}
    assert states == {
        "convolutions": "frozen", "projection": "frozen", "layer 0": "frozen", "layer 1": "frozen",
        "layer 2": "adapters", "ctc head": "trained",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lora_rank": 4}, "plan.lora_rank and plan.attention_adapters are two kinds of adapters"),
        ({"reinit_top": 1}, r"plan.reinit_top is 1, but with adapters \(plan.attention_adapters\)"),
        ({"train_top": 0}, "plan.attention_adapters is 'own', but no layer is trained that could be adapted"),
        ({"freeze_frontend": False}, r"plan.freeze_frontend is false, but with adapters \(plan.attention_adapters\)"),
        ({"from_scratch": True}, "which excludes plan.attention_adapters"),
    ],
)
def test_plans_that_make_no_sense_with_adapters(mms: Path, settings: dict[str, Any], message: str) -> None:
    opened, config = open_checkpoint(find(str(mms))), PlanConfig(attention_adapters="own", **settings)
    with pytest.raises(ConfigError, match=message):
        TransferPlan.for_model(reshape(config, opened.encoder), opened.encoder, opened.head, epochs=2)


def test_a_model_without_adapters_has_none_to_train(runs: Runs, saved: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match="this wav2vec2 encoder has none; wanted an MMS model"):
        runs.run("run", {"model": str(saved("wav2vec2-stable")), "plan": {"attention_adapters": "own"}})
