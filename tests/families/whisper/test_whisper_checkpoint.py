"""Whispers as people have them write what `transformers` writes with the same folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
    WhisperForCausalLM,
    WhisperForConditionalGeneration,
    WhisperModel,
    WhisperTokenizer,
)

import speechxfer as sx
from speechxfer.encoders.checkpoints import Checkpoint, find
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead
from speechxfer.families.whisper.tokens import WhisperTokens
from speechxfer.model import SpeechModel
from speechxfer.opening import OWN, open_checkpoint
from tests.encoders.conftest import noise

CODES = ["en", "de", "it", "tr"]
CONTROLS = ["<|endoftext|>", "<|startoftranscript|>", *[f"<|{code}|>" for code in CODES], "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]  # fmt: skip  # noqa: E501
STAMPS = [f"<|{number * 0.02:.2f}|>" for number in range(1501)]
LETTERS = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the")]
VOCABULARY = LETTERS | {left + right: len(LETTERS) + number for number, (left, right) in enumerate(MERGES)}
END = len(VOCABULARY)
NUMBERS = {name: END + number for number, name in enumerate([*CONTROLS, *STAMPS])}
SIZE = END + len(NUMBERS)


def tokenizer(*extra: str, stamps: bool = True) -> Tokenizer:
    """Byte-level, in the order of a multilingual Whisper, with four languages."""
    made = Tokenizer(models.BPE(VOCABULARY, MERGES))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in CONTROLS])
    made.add_tokens([AddedToken(name, normalized=False) for name in [*(STAMPS if stamps else []), *extra]])
    return made


def whisper(kind: Any = WhisperForConditionalGeneration, size: int = SIZE, **config: Any) -> Any:
    torch.manual_seed(0)
    model = kind(
        WhisperConfig(
            vocab_size=size,
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            decoder_start_token_id=END + 1,
            **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), END),
            **{"begin_suppress_tokens": None, **config},
        )
    )
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(6.0)
    return model.eval()


def generation(**settings: Any) -> dict[str, Any]:
    """Of a multilingual model; what is never written here is not written there."""
    ids = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), END)
    return (
        ids
        | {
            "decoder_start_token_id": END + 1,
            "is_multilingual": True,
            "max_length": 448,
            "no_timestamps_token_id": NUMBERS["<|notimestamps|>"],
            "lang_to_id": {f"<|{code}|>": NUMBERS[f"<|{code}|>"] for code in CODES},
            "task_to_id": {task: NUMBERS[f"<|{task}|>"] for task in ("transcribe", "translate")},
            "task": "transcribe",
            "suppress_tokens": list(range(END + 1, SIZE)),
            "begin_suppress_tokens": [],
            "return_timestamps": False,
        }
        | settings
    )


def save(model: Any, folder: Path, settings: dict[str, Any] | None = None, tokens: Tokenizer | None = None) -> Path:
    model.generation_config = GenerationConfig(**generation() if settings is None else settings)
    model.save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    (tokens or tokenizer()).save(str(folder / "tokenizer.json"))
    return folder


@torch.inference_mode()
def theirs(folder: Path, **options: Any) -> list[int]:
    """What `generate` writes by the files of the folder alone."""
    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    features = WhisperFeatureExtractor()(noise(16_000), sampling_rate=16_000, return_tensors="pt").input_features
    return list(model.generate(features, max_new_tokens=12, **options)[0].tolist())


@torch.inference_mode()
def ours(folder: Path, language: str | None = None) -> list[int]:
    opened = open_checkpoint(find(str(folder)), head=OWN)
    assert isinstance(opened.head, WhisperSeq2SeqHead), opened.problem
    encoder, head = opened.encoder.eval(), opened.head.eval()
    states, frames = encoder(*encoder.collate([noise(16_000)]))
    if language:
        head.learn(head.normalizer, language=language, task=head.task_token, timestamp_share=0, label_smoothing=0)
    return list(head.first_try(states, frames)[0].tokens)


def same_text(one: list[int], other: list[int]) -> None:
    """Up to where the shorter search stops."""
    size = min(len(one), len(other), 10)
    assert size > 2
    assert one[:size] == other[:size]


@pytest.mark.slow
def test_what_generate_writes_is_written_here(tmp_path: Path) -> None:
    folder = save(whisper(), tmp_path / "model")
    same_text(ours(folder), theirs(folder))
    same_text(ours(folder, "Italian"), theirs(folder, language="it"))
    assert ours(folder, "it") != ours(folder, "de")


IT, TRANSLATE = NUMBERS["<|it|>"], NUMBERS["<|translate|>"]
FORCED = [[1, IT], [2, TRANSLATE], [3, NUMBERS["<|notimestamps|>"]]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "language", "task"),
    [
        ({"language": "it", "task": "translate"}, "it", "translate"),
        ({"language": "<|it|>", "task": "transcribe"}, "it", "transcribe"),
        ({"language": "Italian"}, "it", "transcribe"),
        ({"task": "translate"}, None, "translate"),
        ({"forced_decoder_ids": FORCED}, "it", "translate"),
        ({"forced_decoder_ids": [[1, None], *FORCED[1:]]}, None, "translate"),
        ({"forced_decoder_ids": FORCED, "task": "transcribe"}, None, "transcribe"),
    ],
)
def test_language_and_task_are_those_of_the_generation_config(
    settings: dict[str, Any], language: str | None, task: str, tmp_path: Path
) -> None:
    folder = save(whisper(), tmp_path / "model")
    # `GenerationConfig` does not write all of what older versions wrote.
    (folder / "generation_config.json").write_text(json.dumps(generation(**{"task": None, **settings})))
    head = open_checkpoint(find(str(folder)), head=OWN).head
    assert isinstance(head, WhisperSeq2SeqHead)
    assert (head.language, head.task_token) == (language, task)
    same_text(ours(folder), theirs(folder))
    sx.load(str(folder), device="cpu").save(tmp_path / "again")
    written = json.loads((tmp_path / "again" / "generation_config.json").read_text())
    assert (written.get("language"), written["task"]) == (language, task)
    same_text(ours(tmp_path / "again"), theirs(tmp_path / "again"))


def test_tokens_forced_by_an_old_configuration_are_given(tmp_path: Path) -> None:
    folder = save(whisper(), tmp_path / "model", generation(task=None))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "forced_decoder_ids": FORCED}))
    head = open_checkpoint(find(str(folder)), head=OWN).head
    assert isinstance(head, WhisperSeq2SeqHead)
    assert (head.language, head.task_token) == ("it", "translate")


def test_a_language_that_the_generation_config_names_and_nobody_knows_is_reported(tmp_path: Path) -> None:
    folder = save(whisper(), tmp_path / "model", generation(language="klingon"))
    opened = open_checkpoint(find(str(folder)), head=OWN)
    assert opened.head is None
    assert "generation_config.json: language 'klingon' is not one" in str(opened.problem)


@pytest.mark.slow
def test_what_the_generation_config_lets_be_written_is_written_whatever_config_says(tmp_path: Path) -> None:
    model = whisper(suppress_tokens=list(range(20, 200)), begin_suppress_tokens=[3])
    free, bound = save(model, tmp_path / "free"), save(model, tmp_path / "bound", generation(suppress_tokens=[*range(20, 200), *range(END + 1, SIZE)]))  # fmt: skip  # noqa: E501
    for folder in (free, bound):
        same_text(ours(folder), theirs(folder))
    assert ours(free) != ours(bound)


def favor(model: Any, token: int) -> None:
    """Have a token written always."""
    torch.manual_seed(0)
    way = torch.nn.functional.normalize(torch.randn(32), dim=0)
    with torch.no_grad():
        model.model.decoder.layer_norm.bias.copy_(5 * way)
        model.model.decoder.embed_tokens.weight[token] = 20 * way


@pytest.mark.slow
@pytest.mark.parametrize("stamps", [True, False])
def test_a_word_that_was_added_is_written(stamps: bool, tmp_path: Path) -> None:
    """Also where the tokenizer has no time stamps, so that the word has the number of one."""
    tokens = tokenizer(" speechxfer", stamps=stamps)
    added = tokens.token_to_id(" speechxfer")
    assert added == (SIZE if stamps else NUMBERS["<|0.00|>"])
    model = whisper(size=SIZE + 1)
    favor(model, added)
    folder = save(model, tmp_path / "model", generation(language="en", suppress_tokens=[]), tokens)
    assert sx.load(str(folder), device="cpu").recognize([noise(16_000)])[0].text == "speechxfer"
    assert set(ours(folder)) == {added}
    head = sx.load(str(folder), device="cpu").head
    assert isinstance(head, WhisperSeq2SeqHead)
    assert head.tokens.spell("a speechxfer") == [*head.tokens.spell("a"), added]
    sx.load(str(folder), device="cpu").save(tmp_path / "again")
    assert sx.load(str(tmp_path / "again"), device="cpu").recognize([noise(16_000)])[0].text == "speechxfer"


def test_outputs_without_a_token_are_never_written(tmp_path: Path) -> None:
    model = whisper(size=SIZE + 24)  # as an embedding is padded to a multiple of 64
    favor(model, SIZE + 3)
    folder = save(model, tmp_path / "model", generation(language="en"))
    assert all(token < SIZE for token in ours(folder))


def test_a_language_that_was_added_is_one(tmp_path: Path) -> None:
    tokens = tokenizer("<|xx|>")
    named = {**generation()["lang_to_id"], "<|xx|>": SIZE}
    folder = save(whisper(size=SIZE + 1), tmp_path / "model", generation(lang_to_id=named), tokens)
    same_text(ours(folder, "xx"), theirs(folder, language="<|xx|>"))
    with pytest.raises(ConfigError, match="language 'yy' is not one this Whisper knows"):
        ours(folder, "yy")


@pytest.mark.parametrize(
    ("size", "end", "known", "chooses"),
    [
        (51_865, 50_257, {}, True),
        (51_864, 50_256, {}, False),
        (51_870, 50_256, {}, False),
        (SIZE, END, {}, False),
        (SIZE, END, {"is_multilingual": True}, True),
        (51_865, 50_257, {"is_multilingual": False}, False),
    ],
)
def test_an_english_whisper_with_added_words_is_not_multilingual(
    size: int, end: int, known: dict[str, Any], chooses: bool
) -> None:
    filling = {f"w{number}": number for number in range(len(VOCABULARY), end)}
    made = Tokenizer(models.BPE(VOCABULARY | filling, []))
    made.add_special_tokens([AddedToken(name, special=True) for name in CONTROLS])
    assert WhisperTokens(made, size, known).is_multilingual is chooses


# Tokenizers without tokenizer.json


@pytest.fixture(scope="module")
def in_parts(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def make(extra: tuple[str, ...] = (), *, by_number: bool = False) -> Path:
        folder = tmp_path_factory.mktemp("parts")
        (folder / "vocab.json").write_text(json.dumps(VOCABULARY | {"<|endoftext|>": END}))
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, MERGES)]) + "\n")
        names = [name for name in [*CONTROLS, *STAMPS, *extra] if name != "<|endoftext|>"]
        roles = dict.fromkeys(("unk_token", "bos_token", "eos_token", "pad_token"), "<|endoftext|>")
        settings: dict[str, Any] = {"tokenizer_class": "WhisperTokenizer", **roles}
        if by_number:
            settings["added_tokens_decoder"] = {
                str(END + number): {
                    "content": name,
                    "special": name in CONTROLS,
                    "normalized": False,
                    "lstrip": False,
                    "rstrip": False,
                    "single_word": False,
                }
                for number, name in enumerate([*CONTROLS, *STAMPS, *extra])
            }
        else:
            (folder / "added_tokens.json").write_text(json.dumps({name: END + 1 + number for number, name in enumerate(names)}))  # fmt: skip  # noqa: E501
            (folder / "special_tokens_map.json").write_text(json.dumps({**roles, "additional_special_tokens": CONTROLS}))  # fmt: skip  # noqa: E501
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        return folder

    return make


@pytest.fixture(scope="module")
def made_of_parts(in_parts: Callable[..., Path]) -> list[WhisperTokens]:
    return [WhisperTokens.read(Checkpoint("x", in_parts(by_number=by_number)), SIZE) for by_number in (False, True)]


@pytest.fixture(scope="module")
def whole() -> WhisperTokens:
    return WhisperTokens(tokenizer(), SIZE)


@given(text=st.text(max_size=30))
def test_a_tokenizer_of_parts_spells_as_the_whole_one(
    made_of_parts: list[WhisperTokens], whole: WhisperTokens, text: str
) -> None:
    for parts in made_of_parts:
        assert parts.spell(text) == whole.spell(text)
        assert parts.text(whole.spell(text)) == whole.text(whole.spell(text))


def test_a_tokenizer_of_parts_has_the_same_special_tokens(in_parts: Callable[..., Path]) -> None:
    whole = WhisperTokens(tokenizer(" added"), SIZE + 1)
    for by_number in (False, True):
        folder = in_parts((" added",), by_number=by_number)
        parts, library = WhisperTokens.read(Checkpoint("x", folder), SIZE + 1), WhisperTokenizer.from_pretrained(folder)
        assert (parts.end, parts.start, parts.plain, parts.before) == (
            whole.end,
            whole.start,
            whole.plain,
            whole.before,
        )
        assert (parts.special, parts.languages) == (whole.special, whole.languages)
        for text in (" the added", " xthe", "  tt h"):
            assert parts.tokenizer.encode(text).ids == library.encode(text, add_special_tokens=False)


def test_a_whisper_with_a_tokenizer_of_parts_is_saved_with_a_whole_one(
    in_parts: Callable[..., Path], tmp_path: Path
) -> None:
    folder, parts = save(whisper(), tmp_path / "model"), in_parts()
    expected = ours(folder)
    (folder / "tokenizer.json").unlink()
    for file in parts.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    assert ours(folder) == expected
    sx.load(str(folder), device="cpu").save(tmp_path / "again")
    assert ours(tmp_path / "again") == expected
    assert WhisperTokenizer.from_pretrained(tmp_path / "again").encode(" the", add_special_tokens=False) == [END - 1]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "tokenizer.json",
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 2480466\n",
            r"tokenizer\.json: is a pointer of Git LFS.*git lfs pull",
        ),
        ("tokenizer.json", "{", r"tokenizer\.json: is not a tokenizer"),
        ("tokenizer.json", "", r"tokenizer\.json: is empty"),
        ("tokenizer.json", None, r"lacks tokenizer\.json"),
        ("merges.txt", None, r"merges\.txt: cannot be read"),
        ("merges.txt", "#version: 0.2\na b c\n", r"merges\.txt: does not fit vocab\.json"),
        ("vocab.json", "[]", r"vocab\.json: holds a list"),
    ],
)
def test_a_tokenizer_that_is_missing_or_damaged_is_reported_and_the_encoder_opens(
    name: str, content: str | None, message: str, in_parts: Callable[..., Path], tmp_path: Path
) -> None:
    folder = save(whisper(), tmp_path / "model")
    if name != "tokenizer.json":
        (folder / "tokenizer.json").unlink()
        for file in in_parts().iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / name).unlink() if content is None else (folder / name).write_text(content)
    with pytest.raises(CheckpointError, match=message) as refused:
        sx.load(str(folder), device="cpu")
    assert "\n" not in str(refused.value)
    assert open_checkpoint(find(str(folder))).encoder.depth == 2


def test_a_tokenizer_of_another_model_is_reported(tmp_path: Path) -> None:
    folder = save(whisper(), tmp_path / "model")
    Tokenizer(models.BPE(VOCABULARY, [])).save(str(folder / "tokenizer.json"))
    with pytest.raises(CheckpointError, match=r"lacks <\|endoftext\|>, so it is not that of a Whisper"):
        sx.load(str(folder), device="cpu")


# Classes of `transformers`


def test_a_whisper_without_its_output_layer_writes_the_same(tmp_path: Path) -> None:
    folder = save(whisper(), tmp_path / "model")
    whole = WhisperForConditionalGeneration.from_pretrained(folder)
    bare = tmp_path / "bare"
    whole.model.save_pretrained(bare)
    assert json.loads((bare / "config.json").read_text())["architectures"] == ["WhisperModel"]
    for name in ("tokenizer.json", "generation_config.json"):
        (bare / name).write_bytes((folder / name).read_bytes())
    assert ours(bare) == ours(folder)
    assert isinstance(WhisperModel.from_pretrained(bare), WhisperModel)


def test_an_output_layer_of_its_own_is_refused_by_name(tmp_path: Path) -> None:
    model = whisper(tie_word_embeddings=False)
    folder = save(model, tmp_path / "model")
    with pytest.raises(CheckpointError, match="output matrix is not its token embedding"):
        sx.load(str(folder), device="cpu")
    with torch.no_grad():
        model.proj_out.weight.copy_(model.model.decoder.embed_tokens.weight)
    same_text(ours(save(model, folder)), theirs(folder))
    sx.load(str(folder), device="cpu").save(tmp_path / "again")
    same_text(ours(tmp_path / "again"), theirs(tmp_path / "again"))


def test_a_decoder_alone_is_refused_by_name(tmp_path: Path) -> None:
    whisper(WhisperForCausalLM).save_pretrained(tmp_path / "model")
    with pytest.raises(CheckpointError, match="has no encoder"):
        open_checkpoint(find(str(tmp_path / "model")), head=OWN)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_whisper_for_classes_tells_them_as_transformers_does(weighted: bool, tmp_path: Path) -> None:
    labels = {0: "no", 1: "maybe", 2: "yes"}
    model = whisper(WhisperForAudioClassification, use_weighted_layer_sum=weighted, id2label=labels)
    model.save_pretrained(tmp_path / "model")
    features = WhisperFeatureExtractor()(noise(16_000), sampling_rate=16_000, return_tensors="pt").input_features
    with torch.inference_mode():
        expected = model(features).logits[0].softmax(-1).tolist()
    opened: SpeechModel = sx.load(str(tmp_path / "model"), device="cpu")
    prediction = opened.predict([noise(16_000)])[0]
    assert prediction.labels == ("no", "maybe", "yes")  # type: ignore[union-attr]
    assert prediction.probabilities == pytest.approx(tuple(expected), abs=1e-4)  # type: ignore[union-attr]
    opened.save(tmp_path / "again")
    again = WhisperForAudioClassification.from_pretrained(tmp_path / "again").eval()
    with torch.inference_mode():
        assert again(features).logits[0].softmax(-1).tolist() == pytest.approx(expected, abs=1e-4)


def test_an_encoder_that_was_trained_on_less_than_30_s_is_padded_to_that(tmp_path: Path) -> None:
    model = whisper(max_source_positions=250)
    folder = save(model, tmp_path / "model")
    opened = open_checkpoint(find(str(folder)), head=OWN)
    features = WhisperFeatureExtractor(chunk_length=5)(noise(16_000), sampling_rate=16_000, return_tensors="pt").input_features  # fmt: skip  # noqa: E501
    with torch.inference_mode():
        expected = model.model.encoder(features).last_hidden_state
        states, _ = opened.encoder.eval()(*opened.encoder.collate([noise(16_000)]))
    torch.testing.assert_close(states, expected, atol=1e-4, rtol=1e-4)
