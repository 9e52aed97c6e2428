"""What a run starts from: the checkpoint's own head where it is wanted and can be opened, or a new one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import speechxfer as sx
from speechxfer.config import FinetuneConfig, RetentionConfig, build
from speechxfer.data.manifest import Manifest
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError, DataError
from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead
from speechxfer.heads.classification.head import ClassificationHead
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.training.starting_point import StartingPoint, starting_point
from tests.encoders.conftest import reference
from tests.families.whisper import test_whisper_checkpoint as whispers
from tests.test_opening import ctc
from tests.training.conftest import Log

LETTERS = ["<pad>", "|", "a", "b", "c", "-"]


@pytest.fixture
def start(corpus: Callable[..., Path], tmp_path: Path) -> Callable[..., tuple[StartingPoint, Log]]:
    def make(model: Path, texts: list[str], **settings: Any) -> tuple[StartingPoint, Log]:
        train, log = corpus("train", texts), Log()
        values = {"model": str(model), "train": str(train), "dev": str(train), "output": str(tmp_path / "run")}
        config = build(sx.FinetuneConfig, values | settings)
        return starting_point(config, find(str(model)), Manifest.read(train), log), log

    return make


Start = Callable[..., tuple[StartingPoint, Log]]


def kept(point: StartingPoint) -> bool:
    assert isinstance(point.model.head, CTCHead)
    return point.model.head.vocabulary.symbols == (" ", "a", "b", "c", "-")


# What a kept head's texts are written as


def test_a_kept_head_writes_as_the_normalizer_that_was_asked_for(start: Start, tmp_path: Path, corpus: Any) -> None:
    ctc(tmp_path / "model", tokens=LETTERS)
    point, log = start(tmp_path / "model", ["a b", "c"], text={"normalizer": "basic"})
    assert kept(point)
    assert str(point.model.head.normalizer) == "basic/2"  # type: ignore[union-attr]
    assert "which is kept" in log
    utterance = next(iter(Manifest.read(corpus("train", ["a b", "c"]))))
    assert point.model.head.targets(utterance) == [2, 1, 3]
    point.model.save(tmp_path / "saved")
    assert str(sx.load(str(tmp_path / "saved"), device="cpu").head.normalizer) == "basic/2"  # type: ignore[union-attr]


def test_without_one_it_writes_as_its_own_does(start: Start, tmp_path: Path) -> None:
    ctc(tmp_path / "model", tokens=LETTERS)
    point, _ = start(tmp_path / "model", ["a b", "c"])
    assert str(point.model.head.normalizer) == "none/1"  # type: ignore[union-attr]
    ctc(tmp_path / "upper", tokens=["<pad>", "|", "A", "B", "C"])
    point, _ = start(tmp_path / "upper", ["a b", "c"])
    assert str(point.model.head.normalizer) == "basic-upper/2"  # type: ignore[union-attr]
    with pytest.raises(
        DataError, match=r"'abc' occur in the training text \(as normalizer 'basic' writes it\).*--normal"
    ):
        start(tmp_path / "upper", ["a b", "c"], text={"normalizer": "basic"})


def test_a_normalizer_that_does_not_exist_is_reported_with_a_kept_head_too(start: Start, tmp_path: Path) -> None:
    ctc(tmp_path / "model", tokens=LETTERS)
    with pytest.raises(ConfigError, match="normalizer 'polite' is not known"):
        start(tmp_path / "model", ["a b"], text={"normalizer": "polite"})


def test_a_new_head_is_written_for_as_before(start: Start, tmp_path: Path) -> None:
    reference("hubert").save_pretrained(tmp_path / "model")
    point, _ = start(tmp_path / "model", ["a b", "c"])
    assert str(point.model.head.normalizer) == "basic/2"  # type: ignore[union-attr]


# Heads nobody asked for

UNREADABLE: dict[str, Any] = {
    "another blank": lambda folder: ctc(folder, tokens=["a", "<pad>"]),
    "no tokenizer": lambda folder: (ctc(folder), (folder / "vocab.json").unlink()),
    "several languages": lambda folder: (ctc(folder), (folder / "vocab.json").write_text('{"a": {}, "b": {}}')),
    "adapter": lambda folder: ctc(folder, add_adapter=True, num_adapter_layers=1),
    "x-vectors": lambda folder: reference("wavlm", head="ForXVector").save_pretrained(folder),
    "regression": lambda folder: reference("hubert", head="ForSequenceClassification", num_labels=1).save_pretrained(
        folder
    ),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_head_that_cannot_be_opened_makes_room_for_a_new_one(kind: str, start: Start, tmp_path: Path) -> None:
    UNREADABLE[kind](tmp_path / "model")
    for vocabulary in ("keep", "new"):
        point, log = start(tmp_path / "model", ["a b", "c"], ctc={"vocabulary": vocabulary})
        assert isinstance(point.model.head, CTCHead)
        assert point.model.head.vocabulary.symbols == (" ", "a", "b", "c")
        assert ("; a new head is trained in its place" in log) is (vocabulary == "keep")
        assert not point.transcribes
    with pytest.raises(ConfigError, match=r"ctc\.vocabulary is 'extend', but .*; take --new-vocabulary"):
        start(tmp_path / "model", ["a b", "c"], ctc={"vocabulary": "extend"})


@pytest.mark.parametrize("tokens", [["tʃ", "dʒ", "n"], ["▁the", "▁a", "s"]])
def test_a_vocabulary_of_another_kind_is_kept_extended_or_replaced(
    tokens: list[str], start: Start, tmp_path: Path
) -> None:
    ctc(tmp_path / "model", tokens=["<pad>", *tokens])
    old = tuple(token.replace("▁", " ") for token in tokens)
    with pytest.raises(DataError, match=r"' abc' occur in the training text .* without them; .* --new-vocabulary"):
        start(tmp_path / "model", ["a b", "c"])
    point, _ = start(tmp_path / "model", ["a b", "c"], ctc={"vocabulary": "extend"})
    assert point.model.head.vocabulary.symbols == (*old, " ", "a", "b", "c")  # type: ignore[union-attr]
    point, _ = start(tmp_path / "model", ["a b", "c"], ctc={"vocabulary": "new"})
    assert point.model.head.vocabulary.symbols == (" ", "a", "b", "c")  # type: ignore[union-attr]


def test_a_run_from_such_a_checkpoint_trains(corpus: Callable[..., Path], tmp_path: Path) -> None:
    ctc(tmp_path / "model", tokens=["a", "<pad>"])
    train, dev = corpus("train", ["a b", "b a", "c"]), corpus("dev", ["a"])
    values = {"model": str(tmp_path / "model"), "train": str(train), "dev": str(dev), "test": str(dev)}
    sx.finetune(config=build(sx.FinetuneConfig, {**values, "output": str(tmp_path / "run"), "device": "cpu", "training": {"epochs": 1}}))  # fmt: skip  # noqa: E501
    assert sx.load(str(tmp_path / "run" / "model"), device="cpu").head.kind == "ctc"


def test_a_head_over_all_layers_leaves_another_head_the_last_one(start: Start, tmp_path: Path) -> None:
    reference("hubert", head="ForSequenceClassification", use_weighted_layer_sum=True).save_pretrained(
        tmp_path / "model"
    )
    point, _ = start(tmp_path / "model", ["a b", "c"])
    assert not point.model.encoder.stacked
    point.model.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["architectures"] == ["HubertForCTC"]


# Whisper's decoder


def test_a_language_is_named_as_people_name_it(start: Start, tmp_path: Path) -> None:
    folder = whispers.save(whispers.whisper(), tmp_path / "model")
    for name in ("it", "IT", "Italian", "it-IT"):
        point, _ = start(folder, ["a b"], head="seq2seq", language=name)
        assert isinstance(point.model.head, WhisperSeq2SeqHead)
        assert point.model.head.language == "it"
    for name, hint in {"Klingon": "wanted a code or an English name", "Itlian": "did you mean Italian?"}.items():
        with pytest.raises(ConfigError, match=f"language '{name}' is not one this Whisper knows; {hint}"):
            start(folder, ["a b"], head="seq2seq", language=name)
    with pytest.raises(ConfigError, match="language 'ja' is not one this Whisper knows"):
        start(folder, ["a b"], head="seq2seq", language="Japanese")


def test_settings_hold_the_code_of_a_language() -> None:
    places = FinetuneConfig("model", "train", "dev", "run")
    assert replace(places, language="Italian").language == "it"
    assert RetentionConfig(language="en-US").language == "en"
    assert (places.language, replace(places, language="Klingon").language) == ("", "Klingon")
    assert replace(places, language="azj-script_latin").language == "azj-script_latin"


def test_a_decoder_that_cannot_be_opened_says_why(start: Start, tmp_path: Path) -> None:
    folder = whispers.save(whispers.whisper(), tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"head is 'seq2seq', but .* lacks tokenizer\.json.*; wanted a model with"):
        start(folder, ["a b"], head="seq2seq", language="it")
    point, _ = start(folder, ["a b"])
    assert (point.model.head.kind, point.transcribes) == ("ctc", True)


def test_a_whisper_for_classes_has_no_decoder_to_compare_with(start: Start, tmp_path: Path) -> None:
    whispers.whisper(whispers.WhisperForAudioClassification).save_pretrained(tmp_path / "model")
    point, _ = start(tmp_path / "model", ["a b"])
    assert (point.model.head.kind, point.transcribes) == ("ctc", False)
    assert not isinstance(point.model.head, ClassificationHead)
