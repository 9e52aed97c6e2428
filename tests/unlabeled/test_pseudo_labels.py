"""Which predictions are used in training."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import speechxfer as sx
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.encoders import load_encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.evaluation.remote_batches import Batch
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.unlabeled.pseudo_labels import (
    EMPTY,
    PLACE,
    UNCERTAIN,
    UNSTEADY,
    Limits,
    PseudoLabels,
    of_people,
    restored,
)
from speechxfer.unlabeled.scoring import Scored, ScoringTask, scored
from tests.conftest import tone


def one(prediction: str, confidence: float, agreement: float) -> Scored:
    return Scored(sx.Utterance(audio="a.wav"), prediction, confidence, agreement)


def test_four_in_five_of_dev_reach_the_limits() -> None:
    dev = [one("a", 0.5 + number / 40, 0.8 + number / 100) for number in range(20)]
    limits = Limits.of(dev)
    assert sum(limits.fault(item) is None for item in dev) == 16


@pytest.mark.parametrize(
    ("prediction", "confidence", "agreement", "fault"),
    [("", 0.9, 0.9, EMPTY), ("a", 0.9, 0.5, UNSTEADY), ("a", 0.5, 0.9, UNCERTAIN), ("a", 0.7, 0.8, None)],
)
def test_each_reason(prediction: str, confidence: float, agreement: float, fault: str | None) -> None:
    assert Limits(0.7, 0.8).fault(one(prediction, confidence, agreement)) == fault


@pytest.mark.parametrize("classes", [True, False])
def test_written_labels_find_their_recordings_again(classes: bool, tmp_path: Path) -> None:
    recordings = sx.Manifest([sx.Utterance(audio=f"{name}.wav", duration=1.0) for name in "abcd"])
    found = [replace(one("x y", 0.9, 0.9), utterance=recordings[place]) for place in (1, 3)]
    labels = PseudoLabels.of([*found, one("", 0.0, 1.0)], [1, 3, 2], Limits(0.5, 0.5), classes=classes)
    assert labels.left_out == {EMPTY: 1}
    path = tmp_path / "elsewhere" / "labels.jsonl"
    path.parent.mkdir()
    recordings.holding(labels.kept).write(path)
    again = restored(sx.Manifest.read(path), recordings)
    assert [item.audio for item in again] == ["b.wav", "d.wav"]
    assert [(item.label, item.text) for item in again] == [("x y", None) if classes else (None, "x y")] * 2
    assert [item.extra[PLACE] for item in again] == [1, 3]
    assert list(of_people(recordings.holding([*again, recordings[0]]))) == [recordings[0]]


@pytest.fixture
def model(whisper_folder: Path) -> sx.SpeechModel:
    """What it predicts changes under dropout."""
    checkpoint = find(str(whisper_folder))
    torch.manual_seed(3)
    encoder = load_encoder(checkpoint.name, *checkpoint.read())
    head = CTCHead(encoder.width, encoder.output_frame_rate, Characters(list(" abc")), TextNormalizer("basic"))
    torch.nn.init.normal_(head.projection.weight, std=0.3)
    return sx.SpeechModel(encoder, head, "here").eval()


def test_dropout_is_the_same_for_a_seed_and_is_gone_afterwards(model: sx.SpeechModel) -> None:
    rows = [{"audio": tone(text), "sample_rate": 16_000} for text in ("abc ab", "cab", "b ca bc")]
    manifest = sx.Dataset.of(rows)
    before = [item.text for item in model.recognize([tone("abc ab")])]
    state = torch.get_rng_state()
    first, again, other = (scored(model, manifest, seed=seed) for seed in (1, 1, 5))
    assert torch.equal(torch.get_rng_state(), state)
    assert first == again
    assert [item.agreement for item in first] != [item.agreement for item in other]
    assert all(0 <= item.agreement <= 1 for item in first)
    assert any(item.agreement < 1 for item in first)
    assert not model.training
    assert [item.text for item in model.recognize([tone("abc ab")])] == before


def test_workers_with_two_threads_score_one_batch_after_the_other(
    model: sx.SpeechModel, corpus: Callable[..., Path], tmp_path: Path
) -> None:
    model.save(tmp_path / "model")
    manifest = sx.Manifest.read(corpus("more", ["abc ab", "cab", "b ca bc", "a"]))
    score = ScoringTask(str(tmp_path / "model"), 1).open(1)
    batches = [Batch([number], [one]) for number, one in enumerate(manifest)] * 4
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda batch: score([batch]).found, batches))
    assert found == [score([batch]).found for batch in batches]
