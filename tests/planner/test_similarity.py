"""Distances of domains: numbers with known answers, and the judgment they make together."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from speechxfer.data.manifest import Manifest
from speechxfer.encoders.checkpoints import find
from speechxfer.heads.base import Head
from speechxfer.model import SpeechModel
from speechxfer.opening import open_checkpoint
from speechxfer.planner.cases import Amount, case_of, expected
from speechxfer.planner.examination import examine
from speechxfer.planner.similarity import Measure, Similarity, frame_entropy, frechet
from speechxfer.transfer.presets import PRESETS


def test_the_distance_of_gaussians_is_that_of_their_moments() -> None:
    reference = np.random.default_rng(0).standard_normal((50_000, 3))
    assert frechet(reference, reference) == pytest.approx(0.0, abs=1e-6)
    # |mean|^2 over the trace of the identity; then (2 - 1)^2 a channel over the same.
    assert frechet(reference + np.array([1.0, 2.0, 0.0]), reference) == pytest.approx(5 / 3, rel=0.02)
    assert frechet(2.0 * reference, reference) == pytest.approx(1.0, rel=0.02)
    assert frechet(14.0 * reference, 7.0 * reference) == pytest.approx(1.0, rel=0.02)


def test_entropy_is_of_frames_that_are_not_blank() -> None:
    sure_blank = torch.tensor([[0.97, 0.01, 0.01, 0.01]])
    torn = torch.tensor([[0.0001, 0.3333, 0.3333, 0.3333]])
    found = frame_entropy(torch.cat([sure_blank, torn]).log())
    assert found.tolist() == pytest.approx([math.log(3) / math.log(4)], abs=1e-3)


def test_most_measures_decide_and_doubt_means_far() -> None:
    near, far = Measure("a", 0.0, True, ""), Measure("b", 1.0, False, "")
    assert Similarity((near, near, far)).near
    assert not Similarity((near, far)).near
    assert Similarity((near, far, far)).verdict == "far (2 of 3 measures agree)"


@pytest.mark.slow
def test_a_model_with_a_ctc_head_is_heard_and_asked_how_sure_it_is(
    whisper_folder: Path, spoken: dict[str, Path], tmp_path: Path
) -> None:
    from speechxfer.data.text import TextNormalizer
    from speechxfer.data.vocabulary import Characters
    from speechxfer.heads.ctc.head import CTCHead

    encoder = open_checkpoint(find(str(whisper_folder))).encoder
    head: Head = CTCHead(encoder.width, 50.0, Characters(list(" abc")), TextNormalizer())
    SpeechModel(encoder, head, "tiny").save(tmp_path / "model")
    train, dev = (Manifest.read(spoken[name]) for name in ("train", "dev"))
    _, found = examine(find(str(tmp_path / "model")), train, dev, seconds=20.0, reference=dev)
    values = {measure.name: measure.value for measure in found.measures}
    assert list(values) == ["probe gain", "zero-shot WER", "entropy", "Fréchet distance"]
    assert values["zero-shot WER"] > 0.9  # its head is random
    assert 0.0 < values["entropy"] <= 1.0
    assert values["Fréchet distance"] == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize(
    ("seconds", "near", "number", "preset"),
    [
        (60.0, True, 1, "feature-extraction"),
        (60.0, False, 2, "lower-layers"),
        (7200.0, True, 3, "fine-tune"),
        (7200.0, False, 4, "fine-tune"),
    ],
)
def test_the_four_cases(seconds: float, near: bool, number: int, preset: str) -> None:
    case = case_of(Amount(seconds, 10), near=near)
    assert (case.number, case.preset) == (number, preset)
    assert sorted(expected(case)) == sorted(PRESETS)
    assert preset in expected(case)[:2]


def test_of_classes_the_rarest_says_how_much_there_is(classes: Callable[..., Path]) -> None:
    manifest = Manifest.read(classes("t", "aab")).with_durations()
    amount = Amount.of(manifest, classes=True)
    assert (amount.of_rarest, amount.is_much) == (2, False)
    assert Amount.of(manifest, classes=False).of_rarest is None
    assert Amount(5.0, 200, 100).is_much
