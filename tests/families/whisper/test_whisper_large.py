"""The shapes of large-v3-turbo and distil-large-v3: 128 mel bins, fewer decoder layers, 100 languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.models.whisper.tokenization_whisper import LANGUAGES

import speechxfer as sx
from speechxfer.encoders.checkpoints import find
from speechxfer.export import export
from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead
from speechxfer.opening import OWN, open_checkpoint
from tests.encoders.conftest import noise
from tests.training.conftest import Runs

END, SIZE = 50_257, 51_866
CONTROLS = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES), "<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]  # fmt: skip  # noqa: E501
STAMPS = [f"<|{number * 0.02:.2f}|>" for number in range(1501)]
#: Layers of the encoder and of the decoder, and which heads of attention know when a word was said, as the real
#: files have them, made smaller. distil-large-v3 names those of the model that it was made from.
SHAPES: dict[str, dict[str, Any]] = {
    "large-v3-turbo": {"layers": (5, 4), "alignment_heads": [[2, 1], [3, 0]], "kept": [[2, 1], [3, 0]]},
    "distil-large-v3": {"layers": (4, 2), "alignment_heads": [[7, 0], [10, 1], [25, 1]], "kept": None},
}
#: What takes seconds is tried with the first of them; with the others it is slow.
ONE = [pytest.param(name, marks=[pytest.mark.slow] if number else []) for number, name in enumerate(SHAPES)]


@pytest.fixture(scope="module")
def tokens() -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    # The last is empty, as in the real ones; by it CTranslate2 knows that a Whisper is not English only.
    names = [*letters, *(f"w{n}" for n in range(len(letters), END - 1)), ""]
    vocabulary = {name: number for number, name in enumerate(names)}
    made = Tokenizer(models.BPE(vocabulary, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in CONTROLS])
    made.add_tokens([AddedToken(name, normalized=False) for name in STAMPS])
    assert made.get_vocab_size() == SIZE
    assert made.token_to_id("<|yue|>") == END + 101
    return made


@pytest.fixture(scope="module")
def folders(tokens: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny random models with the files of the real ones."""
    made = {}
    for name, shape in SHAPES.items():
        torch.manual_seed(1)
        encoder_layers, decoder_layers = shape["layers"]
        config = WhisperConfig(
            vocab_size=SIZE, num_mel_bins=128, d_model=32, encoder_layers=encoder_layers,
            decoder_layers=decoder_layers, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=64,
            decoder_ffn_dim=64, decoder_start_token_id=END + 1, begin_suppress_tokens=[220, END],
            **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), END),
        )  # fmt: skip
        model = WhisperForConditionalGeneration(config)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(6.0 if weight.ndim > 1 else 1.0)
        made[name] = tmp_path_factory.mktemp(name)
        model.save_pretrained(made[name])
        (made[name] / "generation_config.json").write_text(json.dumps(generation(tokens, shape["alignment_heads"])))
        WhisperFeatureExtractor(feature_size=128).save_pretrained(made[name])
        tokens.save(str(made[name] / "tokenizer.json"))
    return made


def generation(tokens: Tokenizer, heads: list[list[int]]) -> dict[str, Any]:
    """As `generation_config.json` of the real ones says it."""
    number = tokens.token_to_id
    return {
        "alignment_heads": heads, "begin_suppress_tokens": [220, END], "bos_token_id": END, "eos_token_id": END,
        "pad_token_id": END, "decoder_start_token_id": END + 1, "is_multilingual": True, "max_length": 448,
        "lang_to_id": {f"<|{code}|>": number(f"<|{code}|>") for code in LANGUAGES},
        "task_to_id": {task: number(f"<|{task}|>") for task in ("transcribe", "translate")},
        "no_timestamps_token_id": number("<|notimestamps|>"), "prev_sot_token_id": number("<|startofprev|>"),
        "max_initial_timestamp_index": 50, "return_timestamps": False,
        "suppress_tokens": [1, 2, 7, *range(END + 1, SIZE)],
    }  # fmt: skip


@torch.inference_mode()
def theirs(folder: Path, language: str) -> list[int]:
    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    extractor = WhisperFeatureExtractor.from_pretrained(folder)
    features = extractor(noise(16_000), sampling_rate=16_000, return_tensors="pt").input_features
    assert features.shape[1] == 128
    written: list[int] = model.generate(features, max_new_tokens=12, language=language)[0].tolist()
    return written


@torch.inference_mode()
def ours(folder: Path, language: str) -> list[int]:
    opened = open_checkpoint(find(str(folder)), head=OWN)
    assert isinstance(opened.head, WhisperSeq2SeqHead), opened.problem
    encoder, head = opened.encoder.eval(), opened.head.eval()
    head.language = language
    states, frames = encoder(*encoder.collate([noise(16_000)]))
    return list(head.first_try(states, frames)[0].tokens)


@pytest.mark.parametrize("shape", ONE)
@pytest.mark.slow
def test_it_writes_what_transformers_writes_and_does_so_saved_again(
    shape: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = folders[shape]
    opened = open_checkpoint(find(str(folder)), head=OWN)
    assert isinstance(opened.head, WhisperSeq2SeqHead)
    assert (opened.encoder.depth, len(opened.head.decoder.layers)) == SHAPES[shape]["layers"]
    assert opened.encoder.mel_bands == 128
    assert len(opened.head.tokens.languages) == 100
    assert opened.head.tokens.language("Cantonese") == "yue"
    sx.load(str(folder), device="cpu").save(tmp_path / "again")
    for one in (folder, tmp_path / "again"):
        for language in ("yue", "it"):
            written, expected = ours(one, language), theirs(one, language)
            assert written[:10] == expected[:10]
            assert len(expected) >= 10
    assert ours(folder, "yue") != ours(folder, "it")


@pytest.mark.parametrize("shape", SHAPES)
def test_heads_of_attention_that_the_decoder_has_not_are_left_out(
    shape: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    """distil-whisper names those of the model that it was made from; with them, no tool can align words."""
    sx.load(str(folders[shape]), device="cpu").save(tmp_path / "again")
    saved = transformers.GenerationConfig.from_pretrained(tmp_path / "again")
    assert getattr(saved, "alignment_heads", None) == SHAPES[shape]["kept"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_exported_to_ctranslate2_and_read_from_there(
    shape: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    sx.load(str(folders[shape]), device="cpu").save(tmp_path / "model")
    parity = export(str(tmp_path / "model"), tmp_path / "exported")
    assert parity.same_text == parity.sounds
    assert ours(tmp_path / "exported", "yue") == ours(folders[shape], "yue")


@pytest.fixture
def runs(runs: Runs, folders: dict[str, Path], request: pytest.FixtureRequest) -> Runs:
    runs.base["model"] = str(folders[request.param])
    runs.base["plan"] = {"train_top": 1, "head_top": 1}
    return runs


@pytest.mark.parametrize("runs", ONE, indirect=True)
@pytest.mark.slow
def test_the_upper_layers_of_both_halves_are_trained(runs: Runs) -> None:
    before = sx.load(runs.base["model"], device="cpu").state_dict()
    runs.run("run", {"head": "seq2seq", "language": "yue", "training": {"epochs": 1}})
    after = sx.load(str(runs.folder / "run" / "model"), device="cpu").state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    layers = {".".join(name.split(".")[:4]) for name in moved if ".layers." in name}
    encoder_layers, decoder_layers = SHAPES[next(name for name in SHAPES if name in runs.base["model"])]["layers"]
    assert layers == {f"encoder.modules_.layers.{encoder_layers - 1}", f"head.decoder.layers.{decoder_layers - 1}"}
