"""Which recordings to transcribe next."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.encoders import load_encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import ConfigError, DataError
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.unlabeled.suggesting import chosen
from tests.training.conftest import Log


def groups(*sizes: int, width: int = 8) -> np.ndarray:
    """Recordings in groups that have nothing in common."""
    generator = np.random.default_rng(0)
    centers = np.eye(width)[: len(sizes)]
    rows = [center + 0.05 * generator.standard_normal(width) for center, size in zip(centers, sizes, strict=True) for _ in range(size)]  # fmt: skip  # noqa: E501
    return np.array(rows, dtype=np.float32)


def test_each_group_is_stood_for_before_one_is_twice() -> None:
    vectors = groups(30, 6, 6)
    found = chosen(vectors, [0.5] * 42, 3)
    assert {sum(place >= start for start in (30, 36)) for place in found} == {0, 1, 2}
    assert found[0] < 30  # stands for most


def test_what_the_model_is_certain_of_comes_last() -> None:
    assert chosen(groups(10, 10), [0.99] * 10 + [0.2] * 10, 1)[0] >= 10


def test_what_is_like_a_transcribed_one_comes_last() -> None:
    assert chosen(groups(10, 10), [0.5] * 20, 1, known=[3])[0] >= 10


def test_the_first_of_many_are_a_choice_of_few() -> None:
    vectors, confidences = groups(9, 5, 7), np.random.default_rng(1).random(21).tolist()
    assert chosen(vectors, confidences, 8)[:3] == chosen(vectors, confidences, 3)


def test_all_are_chosen_where_there_are_fewer() -> None:
    assert sorted(chosen(groups(3, 2), [0.5] * 5, 99, known=[1])) == [0, 2, 3, 4]


@pytest.fixture(scope="module")
def model(whisper_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A CTC model that writes at random."""
    checkpoint, folder = find(str(whisper_folder)), tmp_path_factory.mktemp("random")
    torch.manual_seed(3)
    encoder = load_encoder(checkpoint.name, *checkpoint.read())
    head = CTCHead(encoder.width, encoder.output_frame_rate, Characters(list(" abc")), TextNormalizer("basic"))
    torch.nn.init.normal_(head.projection.weight, std=0.3)
    sx.SpeechModel(encoder, head, "here").save(folder / "model")
    return str(folder / "model")


@pytest.fixture
def recordings(corpus: Callable[..., Path]) -> Path:
    """Six without text, two with, and one that cannot be read."""
    path = corpus("some", ["abc", "a", "b", "c", "ab", "bc", "ca", "acb"])
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows[2:]:
        del row["text"]
    (path.parent / "broken.wav").write_bytes(b"RIFF")
    rows.append({"audio": "broken.wav"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_command_writes_texts_to_be_corrected(model: str, recordings: Path, tmp_path: Path) -> None:
    output = tmp_path / "next.jsonl"
    arguments = ["suggest", model, str(recordings), "--count", "3", "--output", str(output), "--device", "cpu"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    found = sx.Manifest.read(output)
    assert len(found) == 3
    untranscribed = {f"some{number}.wav" for number in range(2, 8)}
    assert {one.path.name for one in found} <= untranscribed
    assert all(one.text is not None and 0 <= one.extra["confidence"] <= 1 for one in found)
    # What was corrected there is not written over.
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code != 0
    assert "is there already" in again.output


def test_fewer_than_wanted_are_all_suggested(model: str, recordings: Path) -> None:
    log = Log()
    found = sx.suggest(model, recordings, 20, device="cpu", progress=log)
    assert len(found) == 6
    assert "20 recordings are wanted, but 6 can be chosen" in log
    assert "1 of 9 utterances cannot be read" in log


def test_nothing_to_choose_from(model: str, corpus: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all 2 recordings are transcribed already"):
        sx.suggest(model, corpus("known", ["a", "b"]), 1, device="cpu")
    with pytest.raises(ConfigError, match="wanted 1 recording at least"):
        sx.suggest(model, corpus("known", ["a", "b"]), 0, output=tmp_path / "x.jsonl")
