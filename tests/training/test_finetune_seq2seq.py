"""Whisper's own decoder learns the language of tones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import speechxfer as sx
from speechxfer.decoding import search
from speechxfer.decoding.search import TokenSequence
from speechxfer.errors import ConfigError, DataError
from tests.conftest import tone
from tests.training.conftest import Runs, interrupted, texts

SEQ2SEQ: dict[str, Any] = {
    "head": "seq2seq",
    "plan": {"freeze_frontend": False, "encoder_lr": 1e-2, "head_lr": 1e-2, "train_embedding": True},
    "training": {"dropout": 0.0, "batch_seconds": 2.0},
    "augment": {"mask_time_prob": 0.0, "mask_feature_prob": 0.0},
    "seq2seq": {"timestamp_ratio": 0.0, "label_smoothing": 0.0, "non_speech_ratio": 0.0},
}
#: A decoder with random weights needs many small steps.
SLOWER = {"plan": {"encoder_lr": 3e-3, "head_lr": 3e-3}, "training": {"epochs": 5, "batch_seconds": 1.0}}


@pytest.fixture
def runs(runs: Runs, spelling_whisper: Path, corpus: Callable[..., Path]) -> Runs:
    """The runs of other tests with a tokenizer that spells tones."""
    runs.base["model"] = str(spelling_whisper)
    del runs.base["plan"]
    runs.base["train"] = str(corpus("train", texts(60, 1)))
    return runs


@pytest.mark.slow
def test_it_learns_by_heart_and_the_folder_opens_in_transformers(runs: Runs, corpus: Callable[..., Path]) -> None:
    by_heart = ["abc a", "cb a", "aab a", "b a", "ca a"]
    # Many copies instead of many epochs, each of which writes a checkpoint.
    manifests = {"train": str(corpus("many", by_heart * 12)), "dev": str(corpus("few", by_heart))}
    runs.run("run", SEQ2SEQ, manifests, SLOWER)
    folder = runs.folder / "run" / "model"
    model = sx.load(str(folder), device="cpu")
    for text in by_heart:
        assert model.transcribe(tone(text), sample_rate=16_000, vad="none").text == text
    theirs, found = transformers.WhisperForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not found["missing_keys"]
    state, ours = theirs.state_dict(), model.state_dict()
    assert torch.equal(state["model.decoder.layers.0.fc1.weight"], ours["head.decoder.layers.0.fc1.weight"])
    assert torch.equal(state["model.encoder.conv1.weight"], ours["encoder.modules_.conv1.weight"])
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    begin = tokenizer.convert_tokens_to_ids("<|notimestamps|>") + 1
    assert begin == tokenizer.all_special_ids[-1] + 1
    read = tokenizer.decode([begin, 1, begin + 20], output_offsets=True)
    assert read["offsets"] == [{"text": "a", "timestamp": (0.0, pytest.approx(0.4))}]


def test_which_heads_tell_when_a_word_was_said_is_passed_on(runs: Runs, tmp_path: Path) -> None:
    model = shutil.copytree(runs.base["model"], tmp_path / "model")
    (model / "generation_config.json").write_text('{"alignment_heads": [[0, 1]]}')
    runs.run("run", {**SEQ2SEQ, "model": str(model)}, {"training": {"epochs": 1}})
    saved = transformers.GenerationConfig.from_pretrained(runs.folder / "run" / "model")
    assert saved.alignment_heads == [[0, 1]]


@pytest.mark.slow
@pytest.mark.parametrize(("plan", "half"), [({"train_top": 0}, "head."), ({"head_top": 0}, "encoder.")])
def test_either_half_may_stay_as_it_is(plan: dict[str, Any], half: str, runs: Runs) -> None:
    before = sx.load(runs.base["model"], device="cpu").state_dict()
    runs.run("run", {**SEQ2SEQ, "plan": {**plan, "encoder_lr": 1e-2, "head_lr": 1e-2}}, {"training": {"epochs": 1}})
    after = sx.load(str(runs.folder / "run" / "model"), device="cpu").state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith(half) and "embed" not in name for name in moved)


@pytest.mark.slow
def test_a_run_with_times_and_chance_can_be_repeated(runs: Runs) -> None:
    some = {
        "plan": {"train_top": 1, "freeze_frontend": True},
        "seq2seq": {"timestamp_ratio": 0.5, "non_speech_ratio": 0.1},
    }
    for name in ("once", "again"):
        runs.run(name, SEQ2SEQ, some, {"training": {"epochs": 2, "dropout": 0.1}})
    assert runs.metrics("once") == runs.metrics("again")


@pytest.mark.slow
def test_spectrograms_that_change_in_every_epoch_are_the_same_in_every_run(runs: Runs) -> None:
    warped = {
        "plan": {"train_top": 1, "freeze_frontend": True}, "training": {"epochs": 2, "cache": "memory"},
        "augment": {"where": "spectrogram", "mask_time_prob": 0.1, "mask_feature_prob": 0.1, "frequency_warp": 0.1},
    }  # fmt: skip
    log = runs.run("once", SEQ2SEQ, warped)
    assert "frozen layers, train: computed in every epoch, for the spectrograms change" in log
    interrupted(runs, "again", 5, SEQ2SEQ, warped)
    runs.run("again", SEQ2SEQ, warped, resume=True)
    assert runs.metrics("once") == runs.metrics("again")
    plain = {"where": "seam", "mask_time_prob": 0.0, "mask_feature_prob": 0.0, "frequency_warp": 0.0}
    runs.run("plain", SEQ2SEQ, warped, {"augment": plain})
    assert runs.losses("plain") != runs.losses("once")


def test_pooled_frames_are_kept_with_the_tokenizer(runs: Runs) -> None:
    """`transformers` has no such model, so its files are not there; what the decoder reads is."""
    some = {"plan": {"train_top": 1, "freeze_frontend": True}, "training": {"epochs": 1}, "pooling": {"stride": 2}}
    runs.run("run", SEQ2SEQ, some)
    folder = runs.folder / "run" / "model"
    assert {path.name for path in folder.glob("*.json")} == {"speechxfer.json", "tokenizer.json"}
    model = sx.load(str(folder), device="cpu")
    assert model.head.limits(torch.tensor([25]), 4) == [28]  # type: ignore[operator]
    model.head.max_positions = 448
    assert model.head.limits(torch.tensor([25]), 4) == [16 + 25]  # type: ignore[operator]
    assert isinstance(model.transcribe(tone("ab"), sample_rate=16_000).text, str)


@pytest.mark.slow
def test_beams_are_what_is_measured_and_what_is_saved(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    followed: list[int] = []
    real = search.beam_search

    def counting(*arguments: Any, beams: int, **options: Any) -> list[TokenSequence]:
        followed.append(beams)
        return real(*arguments, beams=beams, **options)

    monkeypatch.setattr(search, "beam_search", counting)
    runs.run("run", SEQ2SEQ, {"seq2seq": {"beams": 2}, "training": {"epochs": 1}, "test": runs.base["dev"]})
    assert set(followed) == {2}
    assert len(followed) >= 3  # before, dev and after
    model = sx.load(str(runs.folder / "run" / "model"), device="cpu")
    assert model.head.decoding_defaults.beams == 2
    with pytest.raises(ConfigError, match=r"seq2seq\.beams is 0; wanted at least 1"):
        runs.config("none", {"seq2seq": {"beams": 0}})


def test_a_text_longer_than_the_decoder_is_reported_and_left_out(runs: Runs, corpus: Callable[..., Path]) -> None:
    train = corpus("long", ["a b", "abc " * 12, "b a"])
    log = runs.run("run", SEQ2SEQ, {"train": str(train), "training": {"epochs": 1}})
    (line,) = [message for message in log.messages if "32 positions" in message]
    assert line.startswith("1 of 3 training utterances have more tokens than the decoder's 32 positions")
    assert "long.jsonl:2: its text takes 5" in line
    without = corpus("without", ["a b", "b a"])
    runs.run("without", SEQ2SEQ, {"train": str(without), "training": {"epochs": 1}})
    assert runs.losses("run") == runs.losses("without")


def test_where_every_text_is_longer_than_the_decoder_nothing_is_learned(
    runs: Runs, corpus: Callable[..., Path]
) -> None:
    with pytest.raises(DataError, match="none of its 2 utterances can be used, so nothing would be learned: 2 have"):
        runs.run("run", SEQ2SEQ, {"train": str(corpus("long", ["abc " * 12] * 2))})
    assert not (runs.folder / "run").exists()


@pytest.mark.slow
def test_dev_with_a_text_longer_than_the_decoder_is_measured(runs: Runs, corpus: Callable[..., Path]) -> None:
    dev = corpus("longdev", ["a b", "abc " * 12])
    log = runs.run("run", SEQ2SEQ, {"dev": str(dev), "training": {"epochs": 1}})
    assert "longdev.jsonl:2: its text has more tokens than the decoder's 32 positions (1 of 2 utterances" in log
    runs.run("short", SEQ2SEQ, {"dev": str(corpus("shortdev", ["a b"])), "training": {"epochs": 1}})
    assert runs.metrics("run")[0]["dev_loss"] == pytest.approx(runs.metrics("short")[0]["dev_loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        ({"language": "it"}, "knows English only"),
        ({"seq2seq": {"task": "translate"}}, "knows English only"),
        ({"plan": {"train_top": 0, "head_top": 0, "freeze_frontend": True}}, "nothing is trained"),
        ({"plan": {"head_top": 2}}, "plan.head_top is 2, but the seq2seq head has 1 layers"),
    ],
)
def test_what_the_model_has_not_is_reported(settings: dict[str, Any], seen: str, runs: Runs) -> None:
    with pytest.raises(ConfigError, match=seen):
        runs.run("run", SEQ2SEQ, settings)


def test_an_encoder_without_decoder_is_reported(runs: Runs, tmp_path: Path) -> None:
    runs.run("first", {"plan": {"train_top": 0}, "training": {"epochs": 1}})
    with pytest.raises(ConfigError, match=r"has no decoder; wanted a model with its decoder \(whisper"):
        runs.run("second", SEQ2SEQ, {"model": str(tmp_path / "first" / "model")})


def test_what_stands_in_the_column_context_is_given(runs: Runs) -> None:
    lines = [json.loads(line) for line in Path(runs.base["train"]).read_text().splitlines()][:8]
    train = Path(runs.base["train"]).with_name("some.jsonl")
    for name, columns in {"with": {"context": "ab"}, "without": {}}.items():
        train.write_text("".join(json.dumps({**line, **columns}) + "\n" for line in lines))
        runs.run(name, SEQ2SEQ, {"train": str(train), "training": {"epochs": 1}})
    assert runs.losses("with") != runs.losses("without")
