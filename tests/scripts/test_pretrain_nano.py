from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from transformers import Wav2Vec2Model

from scripts.pretrain_nano import corpus as corpus_module
from scripts.pretrain_nano import train
from scripts.pretrain_nano.corpus import Source, collect
from scripts.pretrain_nano.feeding import Feeder
from scripts.pretrain_nano.objectives import spans
from scripts.pretrain_nano.student import FRONTS, configuration, field, fresh, hear_like_an_ear, lead, num_frames
from scripts.pretrain_nano.targets import HOP, Lesson, open_teacher, taps, write_lesson
from speechxfer import Manifest
from speechxfer.errors import DataError
from tests.conftest import tone

SMALL = ("--width", "64", "--layers", "1", "--batch-s", "4", "--warmup", "2")


@pytest.fixture
def lesson(whisper_folder: Path, corpus: Callable[..., Path], tmp_path: Path) -> Path:
    texts = ["".join("abc"[(number * step) % 3] for step in range(4 + number % 5)) for number in range(60)]
    write_lesson(Manifest.read(corpus("train", texts)), str(whisper_folder), tmp_path / "lesson")
    return tmp_path / "lesson"


def go(*arguments: str) -> None:
    result = CliRunner().invoke(train.main, [*SMALL, *arguments])
    assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_a_run_that_was_stopped_ends_as_one_that_was_not(lesson: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    go("--lesson", str(lesson), "--output", str(whole), "--steps", "20")
    for steps in ("5", "20"):
        go("--lesson", str(lesson), "--output", str(parts), "--steps", steps)
    ends = [load_file(folder / "checkpoint" / "state.safetensors") for folder in (whole, parts)]
    assert json.loads((whole / "curve.json").read_text())[-1]["epoch"] > 0
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


def test_finishing_writes_a_model_and_leaves_the_run_as_it_was(lesson: Path, tmp_path: Path) -> None:
    go("--lesson", str(lesson), "--output", str(tmp_path / "run"), "--steps", "5")
    before = (tmp_path / "run" / "checkpoint" / "state.safetensors").read_bytes()
    go("--lesson", str(lesson), "--output", str(tmp_path / "run"), "--finish", "3")
    assert (tmp_path / "run" / "checkpoint" / "state.safetensors").read_bytes() == before
    model = Wav2Vec2Model.from_pretrained(tmp_path / "run" / "finished")
    stored = load_file(tmp_path / "run" / "finished" / "model.safetensors")
    assert model.dtype == torch.float32
    assert {value.dtype for value in stored.values()} == {torch.float16}


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["distillation", "clusters", "contrastive"])
def test_every_objective_learns_something(lesson: Path, tmp_path: Path, objective: str) -> None:
    go("--lesson", str(lesson), "--output", str(tmp_path), "--objective", objective, "--steps", "1")
    go("--lesson", str(lesson), "--output", str(tmp_path), "--objective", objective, "--steps", "25")
    curve = json.loads((tmp_path / "curve.json").read_text())
    assert curve[-1]["held_out"]["loss"] < curve[0]["held_out"]["loss"]


def test_another_run_in_the_folder_is_refused(lesson: Path, tmp_path: Path) -> None:
    go("--lesson", str(lesson), "--output", str(tmp_path / "run"), "--steps", "1")
    result = CliRunner().invoke(train.main, [*SMALL, "--output", str(tmp_path / "run"), "--seed", "2"])
    assert "holds a run with seed 1, not 2" in result.output


def test_frames_of_a_crop_are_those_the_teacher_made_there(lesson: Path, whisper_folder: Path) -> None:
    taught = Lesson.open(lesson)
    config = configuration("filterbank", 64, 1)
    feeder = Feeder(taught, config, batch_s=3.0, seed=1)
    index = max(feeder.trained, key=lambda one: taught.places[one, 1])
    whole = taps(open_teacher(str(whisper_folder)), [taught.waveform(index, 0, int(taught.places[index, 1]))])[0]
    frames = taught.standardized(index, 0, len(whole))
    assert frames == pytest.approx((whole - taught.means[: len(whole)]) / taught.scale[:, None], abs=2e-2)


@pytest.mark.parametrize("front", FRONTS)
def test_students_look_where_teachers_do(front: str) -> None:
    config = configuration(front, 64, 1)
    skipped, shift = lead(config)
    # A Whisper's frame is centered at a multiple of 320 samples.
    assert skipped + field(config) // 2 == shift * HOP
    model = fresh(config, 0)
    for size in (field(config) - 1, field(config), 16_000):
        count = num_frames(config, size)
        if count:
            assert model.feature_extractor(torch.zeros(1, size)).shape[2] == count


def test_the_first_convolution_answers_to_its_own_tones() -> None:
    model = fresh(configuration("filterbank", 64, 1), 0)
    hear_like_an_ear(model)
    weight = model.feature_extractor.conv_layers[0].conv.weight[:, 0]
    spectrum = torch.fft.rfft(weight, 3200).abs()
    peaks_hz = spectrum.argmax(1).float()[::4] * 5
    assert (peaks_hz[1:] >= peaks_hz[:-1]).all()
    assert peaks_hz[0] < 150
    assert peaks_hz[-1] > 6500


def test_masks_are_whole_spans_and_never_missing() -> None:
    masked = spans((50, 40), torch.Generator().manual_seed(0))
    assert masked.any(1).all()
    assert 0.3 < masked.float().mean() < 0.7
    starts = masked & ~torch.nn.functional.pad(masked, (1, 0))[:, :-1]
    row, column = starts[:, :30].nonzero()[0].tolist()
    assert masked[row, column : column + 10].all()


def write_part(folder: Path, name: str, texts: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    lines = []
    for file, text in texts.items():
        soundfile.write(folder / file, tone(text), 16_000)
        lines.append(json.dumps({"audio": file, "text": text}) + "\n")
    (folder / f"{name}.jsonl").write_text("".join(lines))


def test_nothing_of_dev_or_test_is_learned_from(tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    write_part(folder, "test", {"t.wav": "abc"})
    write_part(folder, "train", {"copy.wav": "abc", "new.wav": "cba"})
    # The same recording under another name and text.
    rows = [{"audio": "copy.wav", "text": "something else"}, {"audio": "new.wav", "text": "cba"}]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [one.audio for one in collect([Source("prompts", folder, ("test",))])] == ["new.wav"]


def test_sentences_of_the_test_are_left_out_where_voices_are_known(tmp_path: Path) -> None:
    write_part(tmp_path, "test", {"t.wav": "abc"})
    write_part(tmp_path, "train", {"a.wav": "abca", "b.wav": "cba"})
    rows = [{"audio": "a.wav", "text": "abc"}, {"audio": "b.wav", "text": "cba"}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [one.audio for one in collect([Source("x", tmp_path, ("test",), by_sentence=True)])] == ["b.wav"]
    assert len(collect([Source("x", tmp_path, ("test",))])) == 2


def test_without_the_manifest_of_what_to_keep_out_nothing_is_collected(tmp_path: Path) -> None:
    write_part(tmp_path, "train", {"a.wav": "abc"})
    with pytest.raises(DataError, match=r"dev\.jsonl"):
        collect([Source("x", tmp_path, ("dev",))])


def test_dev_splits_of_recipes_are_left_out(tmp_path: Path) -> None:
    write_part(tmp_path, "test", {"9_x_0.wav": "a b"})
    write_part(tmp_path, "train", {f"1_x_{take}.wav": "abc"[: 1 + take % 3] + "abab" for take in range(5, 12)})
    found = collect([Source("fsdd", tmp_path, ("test",), is_dev=corpus_module._is_dev_digit)])
    assert [one.audio for one in found] == ["1_x_10.wav", "1_x_11.wav"]
