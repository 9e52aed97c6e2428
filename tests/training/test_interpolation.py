"""Between what a model knew and what it has learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import speechxfer as sx
from speechxfer.cli import main
from speechxfer.errors import ConfigError
from speechxfer.runs import RunFolder
from speechxfer.training.interpolation import Curve, Interpolation, Point, between, parse_points
from tests.training.conftest import Runs


def curve(*points: tuple[float, float, float], encoder_only: bool = False) -> Curve:
    """From (alpha, error on dev, error on what is to be retained)."""
    made = (Point(alpha, {"wer": dev, "cer": 0.0}, {"wer": retain, "cer": 0.0}) for alpha, dev, retain in points)
    return Curve(tuple(made), encoder_only)


def test_a_point_in_between_is_chosen_by_gain_and_loss() -> None:
    found = curve((0, 0.9, 0.1), (0.4, 0.5, 0.1), (0.6, 0.16, 0.2), (0.8, 0.1, 0.4), (1, 0.1, 0.6))
    best = found.best(0.9)
    assert best.alpha == 0.6
    assert found.gain(best) == pytest.approx(0.925)
    assert found.loss(best) == pytest.approx(0.2)
    described = found.describe(best)
    assert described == "alpha 0.6 keeps 92% of the gain on dev at 20% of the loss on what was to be retained"
    assert found.best(1.0).alpha == 0.8  # as good on dev as the end, and less is forgotten
    assert found.best(0.5).alpha == 0.4
    assert found.rows()[2] == ("0.6", "0.160", "92%", "0.200", "20%")


def test_without_a_retained_set_the_nearest_to_the_original_is_chosen() -> None:
    found = Curve(tuple(Point(alpha, {"error": error}) for alpha, error in ((0, 1.0), (0.5, 0.1), (1, 0.1))), True)
    assert found.best(0.9).alpha == 0.5
    assert found.loss(found.points[1]) is None
    assert found.to_list()[0] == {"alpha": 0, "dev": {"error": 1.0}, "encoder_only": True}


def test_no_gain_cannot_be_kept() -> None:
    found = curve((0, 0.1, 0.1), (1, 0.2, 0.3))
    with pytest.raises(ConfigError, match=r"gained nothing on dev \(0\.100 before, 0\.200 after\)"):
        found.best(0.9)
    assert found.describe(found.points[1]).startswith("alpha 1 nothing was gained on dev")


def test_weights_are_mixed_and_what_one_side_lacks_is_the_other_s() -> None:
    mixed = between({"a": torch.zeros(2)}, {"a": torch.full((2,), 2.0), "new": torch.ones(1)}, 0.25)
    assert mixed["a"].tolist() == [0.5, 0.5]
    assert mixed["new"].tolist() == [1.0]


def test_both_ends_of_the_line_are_both_models(forgetful: Runs) -> None:
    line = Interpolation(forgetful.folder / "second", device="cpu")
    assert not line.encoder_only
    found = line.curve([0.5])
    figures = json.loads((forgetful.folder / "second" / "metrics.json").read_text())
    assert [point.alpha for point in found.points] == [0.0, 0.5, 1.0]
    assert found.points[-1].dev == pytest.approx(figures["dev"])
    for point, name in ((found.points[0], "before"), (found.points[-1], "after")):
        assert point.retain is not None
        assert point.retain["wer"] == pytest.approx(figures["retained"][name]["wer"])
    ends = [sx.load(model, device="cpu").state_dict() for model in (forgetful.base["model"], str(forgetful.folder / "second" / "model"))]  # fmt: skip  # noqa: E501
    middle = line.at(0.5).state_dict()
    assert all(torch.allclose(middle[name], (value + ends[1][name]) / 2) for name, value in ends[0].items())
    written = RunFolder(forgetful.folder / "second").interpolation
    assert written is not None
    assert list(written.points) == list(found.points)


def test_on_the_command_line_a_model_is_saved_at_a_point(forgetful: Runs, tmp_path: Path) -> None:
    command = ["interpolate", str(forgetful.folder / "second"), "--points", "0.5", "--device", "cpu"]
    saved = tmp_path / "mixed"
    done = CliRunner().invoke(main, [*command, "--at", "0", "--output", str(saved)])
    assert done.exit_code == 0, done.output
    assert [point["alpha"] for point in json.loads(done.stdout)] == [0.0, 0.5, 1.0]
    first = sx.load(forgetful.base["model"], device="cpu").state_dict()
    assert all(torch.equal(value, first[name]) for name, value in sx.load(str(saved)).state_dict().items())
    both = CliRunner().invoke(main, [*command, "--at", "0", "--keep-gain", "0.9"])
    assert both.exit_code == 2


def test_with_a_new_head_only_the_encoder_is_mixed(learned: Runs) -> None:
    line = Interpolation(learned.folder / "first", device="cpu")
    assert line.encoder_only
    head = {name: value.clone() for name, value in line.at(1.0).head.state_dict().items()}
    mixed = line.at(0.0).state_dict()
    assert all(torch.equal(value, mixed[f"head.{name}"]) for name, value in head.items())
    original = sx.load(learned.base["model"], device="cpu").state_dict()
    assert any(not torch.equal(value, mixed[name]) for name, value in original.items())


@pytest.mark.slow
@pytest.mark.parametrize("padded", [True, False])
def test_a_decoder_that_hears_less_silence_than_before_is_reported(
    runs: Runs, spelling_whisper: Path, padded: bool
) -> None:
    decoder: dict[str, Any] = {"model": str(spelling_whisper), "head": "seq2seq", "whisper": {"pad_to_30s": padded}}
    runs.run("run", decoder, {"training": {"epochs": 1, "batch_seconds": 300.0}, "seq2seq": {"non_speech_ratio": 0.0}})
    line = Interpolation(runs.folder / "run", device="cpu")
    assert not line.encoder_only
    assert line.unpadded is not padded


def test_what_is_no_finished_run_and_no_point_is_reported(forgetful: Runs, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not a finished run \(no config\.toml\)"):
        Interpolation(tmp_path)
    with pytest.raises(ConfigError, match=r"alpha is 1\.5; wanted 0 .* to 1"):
        Interpolation(forgetful.folder / "second", device="cpu").curve([1.5])
    with pytest.raises(ConfigError, match="--points '0;1'"):
        parse_points("0;1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--at", "nan"], "alpha is nan; wanted 0"),
        (["--at", "1.5"], "alpha is 1.5; wanted 0"),
        (["--points", "0,nan"], "alpha is nan; wanted 0"),
        (["--points", ""], "--points ''"),
        (["--keep-gain", "nan"], "--keep-gain is nan; wanted a fraction from 0 to 1"),
        (["--keep-gain", "-1"], "--keep-gain is -1; wanted a fraction from 0 to 1"),
        (["--output", "x"], "which model is to be saved there? Say so by --at or --keep-gain"),
        (["--device", "gpu"], "device 'gpu' is not known"),
    ],
)
def test_what_cannot_be_mixed_is_reported_before_the_work(options: list[str], message: str, forgetful: Runs) -> None:
    done = CliRunner().invoke(main, ["interpolate", str(forgetful.folder / "second"), *options])
    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
    assert message in done.output


def test_a_folder_that_is_no_model_is_not_replaced(forgetful: Runs, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    arguments = ["interpolate", str(forgetful.folder / "second"), "--at", "0.5", "--points", "0.5"]
    done = CliRunner().invoke(main, [*arguments, "--output", str(tmp_path / "thesis")])
    assert (done.exit_code, "which is not replaced; choose another folder" in done.output) == (2, True)
    assert (tmp_path / "thesis" / "chapter.tex").exists()
    for _ in range(2):  # an earlier model is
        done = CliRunner().invoke(main, [*arguments, "--output", str(tmp_path / "mixed"), "--device", "cpu"])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "mixed" / "speechxfer.json").is_file()
