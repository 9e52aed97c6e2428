"""Moonshine's decoder writes what the original writes, learns, and refuses what it has not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models

import speechxfer as sx
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.export import export
from speechxfer.families.moonshine.decoder import MoonshineSeq2SeqHead
from speechxfer.families.moonshine.tokens import MoonshineTokens
from speechxfer.heads.seq2seq import head as seq2seq
from speechxfer.opening import OWN, open_checkpoint
from speechxfer.truecasing import truecased
from tests.conftest import tone
from tests.encoders.conftest import noise
from tests.families.tiny_moonshine import END, NAMES, SIZE, START, moonshine, save, tokenizer
from tests.training.conftest import Runs, interrupted, texts

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("moonshine")
    save(moonshine(), path)
    return path


@pytest.fixture(scope="module")
def original() -> Any:
    return moonshine()


def head_of(model: Any, **options: Any) -> MoonshineSeq2SeqHead:
    head = MoonshineSeq2SeqHead(model.config, MoonshineTokens(tokenizer(), model.config), **options).eval()
    head.decoder.load_state_dict(model.model.decoder.state_dict())
    return head


def number(name: str) -> int:
    return NAMES.index(name)


@torch.inference_mode()
def theirs(folder: Path, sound: np.ndarray, **options: Any) -> str:
    """What `generate` writes by the files of the folder alone."""
    processor = transformers.AutoProcessor.from_pretrained(folder)
    model, found = transformers.MoonshineForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    inputs = processor(audio=sound, sampling_rate=16_000, return_tensors="pt")
    # A model that was trained writes no special tokens; one with random weights does.
    (tokens,) = model.eval().generate(**inputs, suppress_tokens=[0, START, SIZE - 1], **options).tolist()
    return str(processor.tokenizer.decode(tokens, skip_special_tokens=True)).strip()


def ours(folder: Path, sound: np.ndarray) -> str:
    model = sx.load(str(folder), device="cpu")
    return model.recognize([sound], DecodingOptions(temperature=0))[0].text


# What it computes


@torch.no_grad()
def test_its_outputs_are_the_originals(original: Any) -> None:
    head, hidden = head_of(original), torch.randn(1, 20, 32)
    tokens = torch.tensor([[START, 5, SIZE - 2, 9, 31]])
    states = original.model.decoder(input_ids=tokens, encoder_hidden_states=hidden, use_cache=False).last_hidden_state
    expected = original.proj_out(states)
    assert expected.std() > 0.1
    assert (head.logits(head.run(tokens, hidden, None, None)) - expected).abs().max() < TOLERANCE
    cache = head.new_cache()
    steps = [head.run(tokens[:, step : step + 1], hidden, None, cache) for step in range(5)]
    assert (head.logits(torch.cat(steps, dim=1)) - expected).abs().max() < TOLERANCE


def reference(model: Any, hidden: torch.Tensor, steps: int) -> str:
    """Greedy decoding the slow way: everything again for every token, one utterance at a time."""
    tokens = [START]
    for _ in range(steps):
        output = model.model.decoder(
            input_ids=torch.tensor([tokens]), encoder_hidden_states=hidden[None], use_cache=False
        )
        scores = model.proj_out(output.last_hidden_state)[0, -1]
        scores[[0, START, SIZE - 1]] = -torch.inf
        tokens.append(int(scores.argmax()))
        if tokens[-1] == END:
            break
    return MoonshineTokens(tokenizer(), model.config).text(tokens[1:])


@torch.no_grad()
def test_decoding_in_a_batch_with_a_cache_is_decoding_one_by_one(
    original: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seq2seq, "with_fallback", lambda first, *_retry, **_options: first)  # random output loops
    head = head_of(original, is_pretrained=True)
    lengths = [30, 8, 21, 30]
    torch.manual_seed(0)
    hidden = torch.randn(4, 30, 32)
    found = head.decode(hidden, torch.tensor(lengths), DecodingOptions())
    limits = [min(int(16 + 13 * length / head.frame_rate), 39) for length in lengths]
    expected = [
        reference(original, row[:size], limit) for row, size, limit in zip(hidden, lengths, limits, strict=True)
    ]
    assert [one.text for one in found] == expected
    assert len(set(expected)) > 1
    assert all(0 < (hypothesis.confidence or 0) <= 1 for hypothesis in found)


@torch.no_grad()
def test_beams_find_the_same_whatever_is_in_the_batch(original: Any) -> None:
    head = head_of(original)
    torch.manual_seed(0)
    hidden, lengths = torch.randn(3, 20, 32), torch.tensor([20, 11, 20])
    options = DecodingOptions(beams=4, temperature=0)
    alone = [head.decode(hidden[row : row + 1, :size], lengths[row : row + 1], options)[0].text for row, size in enumerate(lengths)]  # fmt: skip  # noqa: E501
    assert alone == [one.text for one in head.decode(hidden, lengths, options)]
    assert alone != [one.text for one in head.decode(hidden, lengths, DecodingOptions(temperature=0))]


@torch.no_grad()
def test_the_loss_is_the_originals_and_does_not_depend_on_neighbors(original: Any) -> None:
    head = head_of(original)
    hidden, lengths = torch.randn(3, 25, 32), [25, 9, 14]
    targets = [head.targets(Utterance(audio="a.wav", text=text)) for text in ("abc a", "", "the bee ö")]
    assert targets[0] == [~START, *map(number, ["▁", "a", "b", "c", "▁", "a"]), END]
    assert targets[1] == [~START, END]
    assert head.num_labels(targets[0]) == 7
    expected = torch.zeros(())
    for row, size, target in zip(hidden, lengths, targets, strict=True):
        labels = torch.tensor([target[1:]])
        given = torch.tensor([[START, *target[1:-1]]])
        states = original.model.decoder(input_ids=given, encoder_hidden_states=row[None, :size], use_cache=False)
        logits = original.proj_out(states.last_hidden_state)
        expected += torch.nn.functional.cross_entropy(logits[0], labels[0], reduction="sum")
    found = head.loss(hidden, torch.tensor(lengths), targets)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


@torch.no_grad()
def test_probabilities_of_texts_are_what_the_loss_counts(original: Any) -> None:
    head = head_of(original)
    hidden, lengths = torch.randn(2, 25, 32), torch.tensor([25, 9])
    found = head.log_probabilities(hidden, lengths, [["abc a", ""], ["b"]], DecodingOptions())
    for row, some in enumerate((["abc a", ""], ["b"])):
        alone = hidden[row : row + 1, : lengths[row]], lengths[row : row + 1]
        for text, score in zip(some, found[row], strict=True):
            target = head.targets(Utterance(audio="a.wav", text=text))
            assert score == pytest.approx(-head.loss(*alone, [target]).item(), abs=1e-3)


def test_its_parts_hold_every_weight_once(original: Any) -> None:
    head = head_of(original)
    grouped = [id(parameter) for group in head.layer_groups() for parameter in group.parameters()]
    assert sorted(grouped) == sorted(map(id, head.parameters()))
    assert [group.name for group in head.layer_groups()] == ["token embedding", "decoder layer 0", "decoder layer 1"]


@pytest.mark.parametrize("text", ["the bee", "öäü the", "a  b", "漢字 the"])
def test_text_is_spelled_as_transformers_spells_it(text: str, folder: Path, original: Any) -> None:
    tokens = MoonshineTokens(tokenizer(), original.config)
    library = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    assert tokens.spell(text) == library(text, add_special_tokens=False)["input_ids"]
    assert tokens.text(tokens.spell(text)) == text
    assert tokens.special == [0, START, END, SIZE - 1]


# Folders


@pytest.mark.slow
def test_what_generate_writes_is_written_here_and_saved_again(folder: Path, tmp_path: Path) -> None:
    model = sx.load(str(folder), device="cpu")
    assert isinstance(model.head, MoonshineSeq2SeqHead)
    model.save(tmp_path / "again")
    written = set()
    for seed in range(3):
        sound = noise(16_000 + 1000 * seed, seed)
        limit = model.head.limits(model.encoder.num_frames(torch.tensor([len(sound)])), 1)[0]
        expected = theirs(tmp_path / "again", sound, max_new_tokens=limit)
        (found,) = model.head.first_try(*model.encoder(*model.encoder.collate([sound])))
        assert model.head.tokens.text(found.tokens) == expected.rstrip("\N{REPLACEMENT CHARACTER}")
        assert ours(tmp_path / "again", sound) == ours(folder, sound)
        written.add(expected)
    assert len(written) == 3
    for name in ("config.json", "generation_config.json"):
        there = json.loads((tmp_path / "again" / name).read_text())
        assert (there["decoder_start_token_id"], there["eos_token_id"]) == (START, END)


def test_the_encoder_alone_opens_and_a_decoder_is_named(folder: Path) -> None:
    opened = open_checkpoint(find(str(folder)))
    assert (opened.head, opened.own_decoder, opened.transcribes) == (None, "seq2seq", True)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def other_model() -> str:
    return Tokenizer(models.BPE({f"w{number}": number for number in range(SIZE + 5)}, [])).to_str()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"copy: lacks tokenizer\.json, so its decoder's output cannot be read"),
        ("{", r"tokenizer\.json: is not a tokenizer"),
        ("", r"tokenizer\.json: is empty"),
        (other_model(), r"tokenizer\.json: its tokens are numbered up to \d+, but the decoder has \d+ outputs"),
    ],
)
def test_a_tokenizer_that_does_not_fit_is_reported_and_the_encoder_opens(
    content: str | None, message: str, copy: Path
) -> None:
    path = copy / "tokenizer.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(CheckpointError, match=message) as refused:
        sx.load(str(copy), device="cpu")
    assert "\n" not in str(refused.value)
    assert open_checkpoint(find(str(copy))).encoder.depth == 3


def test_weights_of_the_decoder_that_do_not_fit_are_reported_and_the_encoder_opens(copy: Path) -> None:
    state = load_file(copy / "model.safetensors")
    save_file({**state, "model.decoder.layers.0.gate.weight": torch.ones(3)}, copy / "model.safetensors")
    opened = open_checkpoint(find(str(copy)), head=OWN)
    assert (opened.head, opened.encoder.depth) == (None, 3)
    assert "decoder's weights do not fit config.json" in str(opened.problem)
    assert 'Unexpected key(s) in state_dict: "layers.0.gate.weight"' in str(opened.problem)


def test_an_output_layer_of_its_own_is_refused_by_name(tmp_path: Path) -> None:
    save(moonshine(tie_word_embeddings=False), tmp_path)
    with pytest.raises(CheckpointError, match="output matrix is not its token embedding"):
        sx.load(str(tmp_path), device="cpu")


@pytest.mark.parametrize("option", [{"language": "it"}, {"prompt": "names"}, {"task": "translate"}])
def test_options_that_it_lacks_are_refused(option: dict[str, Any], folder: Path) -> None:
    (name,) = option
    with pytest.raises(ConfigError, match=f"{name} is .* no such option; leave it out .*beams, temperature") as refused:
        sx.load(str(folder), device="cpu").recognize([noise(16_000)], DecodingOptions(**option))
    assert "\n" not in str(refused.value)


def test_it_restores_case_and_end_marks(folder: Path, corpus: Callable[..., Path]) -> None:
    """As Whisper does, though its encoder has no longest duration."""
    manifest = Manifest.read(corpus("some", ["a b", "c a"]))
    found = truecased(manifest, str(folder), device="cpu").texts
    assert [(text or "").lower().rstrip(".?!") for text in found] == ["a b", "c a"]
    assert [(text or "")[0] for text in found] == ["A", "C"]


# Training

BY_HEART: dict[str, Any] = {
    "head": "seq2seq",
    "plan": {"freeze_frontend": False, "encoder_lr": 3e-3, "head_lr": 3e-3, "train_embedding": True, "train_top": 3},
    "training": {"dropout": 0.0, "batch_seconds": 1.0, "epochs": 8},
    "augment": {"mask_time_prob": 0.0, "mask_feature_prob": 0.0},
    "seq2seq": {"label_smoothing": 0.0, "non_speech_ratio": 0.0},
}


@pytest.fixture
def runs(runs: Runs, folder: Path, corpus: Callable[..., Path]) -> Runs:
    """The runs of other tests with a Moonshine."""
    runs.base["model"] = str(folder)
    del runs.base["plan"]
    runs.base["train"] = str(corpus("train", texts(24, 1)))
    return runs


@pytest.mark.slow
def test_it_learns_by_heart_and_the_folder_opens_in_transformers(
    runs: Runs, corpus: Callable[..., Path], tmp_path: Path
) -> None:
    by_heart = ["abc a", "cb a", "aab a", "b a", "ca a"]
    save(moonshine(scale=1.0), tmp_path / "small")
    manifests = {"train": str(corpus("many", by_heart * 12)), "dev": str(corpus("few", by_heart))}
    runs.run("run", BY_HEART, manifests, {"model": str(tmp_path / "small")})
    folder = runs.folder / "run" / "model"
    model = sx.load(str(folder), device="cpu")
    for text in by_heart:
        assert model.transcribe(tone(text), sample_rate=16_000, vad="none").text == text
        assert theirs(folder, tone(text), max_new_tokens=20) == text
    pipe = transformers.pipeline("automatic-speech-recognition", str(folder), device="cpu")
    assert pipe(tone(by_heart[0]))["text"] == by_heart[0]
    with pytest.raises(ConfigError, match=r"has a moonshine encoder.*; take --to transformers"):
        export(str(folder), tmp_path / "exported", to="ctranslate2")
    parity = export(str(folder), tmp_path / "exported")
    assert parity.same_text == parity.sounds


@pytest.mark.slow
def test_a_run_with_dropout_and_non_speech_goes_on_exactly(runs: Runs) -> None:
    some = {
        "head": "seq2seq", "plan": {"train_top": 1, "head_top": 1}, "training": {"epochs": 2, "dropout": 0.1},
        "seq2seq": {"non_speech_ratio": 0.1, "beams": 2},
    }  # fmt: skip
    runs.run("once", some)
    interrupted(runs, "again", 5, some)
    runs.run("again", some, resume=True)
    assert runs.metrics("once") == runs.metrics("again")
    assert sx.load(str(runs.folder / "again" / "model"), device="cpu").head.decoding_defaults.beams == 2


def test_a_ctc_head_stands_on_its_encoder(runs: Runs) -> None:
    runs.run("run", {"plan": {"train_top": 1}, "training": {"epochs": 1}})
    model = sx.load(str(runs.folder / "run" / "model"), device="cpu")
    assert (model.head.kind, model.encoder.family) == ("ctc", "moonshine")
    with pytest.raises(ConfigError, match=r"has no decoder; wanted a model with its decoder \(.*moonshine"):
        runs.run("second", {"head": "seq2seq", "model": str(runs.folder / "run" / "model")})


def test_translation_is_refused(runs: Runs) -> None:
    with pytest.raises(ConfigError, match=r"seq2seq\.task is 'translate', but .* only writes what is spoken"):
        runs.run("run", {"head": "seq2seq", "seq2seq": {"task": "translate"}})


@pytest.mark.slow
def test_timestamps_and_a_language_that_are_asked_for_are_reported_as_unused(runs: Runs) -> None:
    settings = {"language": "it", "seq2seq": {"timestamp_ratio": 0.5}, "training": {"epochs": 1}}
    log = runs.run("run", {"head": "seq2seq", **settings})
    assert "language is 'it', which has no effect in this run: only the model card notes it" in log
    assert "seq2seq.timestamp_ratio is 0.5, which has no effect in this run: Moonshine's decoder writes no times" in log
