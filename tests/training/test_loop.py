"""The loop: pieces that fit, states to return to, several processes, fewer frames."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

import speechxfer as sx
from speechxfer.errors import CheckpointError, ConfigError, TrainingError
from tests.conftest import tone
from tests.training.conftest import Runs, interrupted

PLAIN = {"training": {"dropout": 0.0}}


OFTEN = {"training": {"checkpoint_minutes": 1e-9, "epochs": 3}}


@pytest.mark.slow
def test_a_torn_checkpoint_falls_back_to_the_one_before(runs: Runs) -> None:
    runs.run("whole", OFTEN)
    interrupted(runs, "torn", 11, OFTEN)
    checkpoints = sorted((runs.folder / "torn" / "checkpoints").iterdir())
    assert len(checkpoints) == 2
    state = checkpoints[-1] / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-8] + bytes(8))
    log = runs.run("torn", OFTEN, resume=True)
    assert "the checkpoint is damaged (state.safetensors is not what was written); going on from step-" in log
    assert runs.metrics("torn") == runs.metrics("whole")


def test_without_a_sound_checkpoint_it_says_so(runs: Runs) -> None:
    interrupted(runs, "torn", 11, OFTEN)
    for path in (runs.folder / "torn" / "checkpoints").iterdir():
        (path / "position.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"damaged .* and there is no other; start again with --overwrite"):
        runs.run("torn", OFTEN, resume=True)


def test_resuming_begins_a_run_where_there_is_none(runs: Runs) -> None:
    runs.run("first")
    runs.run("second", resume=True)
    runs.run("second", resume=True)  # and changes nothing about a finished one
    assert runs.metrics("first") == runs.metrics("second")


def test_resuming_on_other_data_is_refused(runs: Runs) -> None:
    interrupted(runs, "run", 5)
    train = Path(runs.base["train"])
    train.write_text("\n".join(train.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(CheckpointError, match="manifest has changed since the run began"):
        runs.run("run", resume=True)


class Poison(sx.Callback):
    """Makes weights NaN after some steps, of each once, so that the next loss is not a number."""

    def __init__(self, steps: Iterable[int]) -> None:
        self.steps = set(steps)

    def on_step_end(self, state: sx.TrainingState) -> None:
        if state.step in self.steps:
            self.steps.remove(state.step)
            with torch.no_grad():
                next(state.model.head.parameters()).fill_(math.nan)


def test_rollback_returns_to_the_last_good_state_with_half_the_rate(runs: Runs) -> None:
    runs.run("count", {"training": {"epochs": 1}})
    poison = Poison([runs.metrics("count")[0]["step"] + 2])
    log = runs.run("run", {"training": {"guard": "rollback"}}, callbacks=[poison])
    assert "Back to epoch 2 with 0.5 of the learning rates" in log
    assert len(runs.losses("run")) == 3
    assert all(math.isfinite(loss) for loss in runs.losses("run"))


class AlwaysPoison(sx.Callback):
    def on_step_end(self, state: sx.TrainingState) -> None:
        with torch.no_grad():
            next(state.model.head.parameters()).fill_(math.nan)


def test_rollback_works_in_the_first_epoch_and_gives_up_in_the_end(runs: Runs) -> None:
    with pytest.raises(TrainingError, match="After 3 returns with lower learning rates this run is given up"):
        runs.run("run", {"training": {"guard": "rollback"}}, callbacks=[AlwaysPoison()])


@pytest.mark.slow
def test_a_collapse_to_blanks_is_reported(runs: Runs) -> None:
    # Without masks and dropout, whose chance moves the loss.
    hopeless = {
        "plan": {"train_top": 0, "head_lr": 1e-9}, "training": {"epochs": 6, "dropout": 0.0},
        "augment": {"mask_time_prob": 0.0, "mask_feature_prob": 0.0},
    }  # fmt: skip
    log = runs.run("run", hopeless)
    # A head that hardly moves writes nothing or nonsense; either way its loss stands still, which is reported.
    assert "for 4 epochs" in log
    assert "--head-lr" in log or "learning rates" in log
    quiet = runs.run("quiet", hopeless, {"training": {"guard": "off"}})
    assert not any(message.startswith("warning") for message in quiet.messages)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mean", "learned"])
def test_fewer_frames_are_saved_with_the_model(runs: Runs, kind: str) -> None:
    runs.run("run", {"pooling": {"stride": 2, "kind": kind}})
    model = sx.load(str(runs.folder / "run" / "model"))
    assert model.encoder.output_frames(101) == 51
    assert model.transcribe(tone("abc"), sample_rate=16_000) is not None
    with pytest.raises(ConfigError, match="no layer above the seam"):
        runs.run("head", {"plan": {"train_top": 0}, "pooling": {"stride": 2}})


def test_recomputing_activations_changes_nothing(runs: Runs) -> None:
    runs.run("kept")
    runs.run("recomputed", {"training": {"gradient_checkpointing": True}})
    assert runs.losses("recomputed") == pytest.approx(runs.losses("kept"), abs=1e-5)


def test_padding_is_recorded_and_small(runs: Runs) -> None:
    runs.run("run", {"training": {"batch_seconds": 30.0}})
    assert all(0 <= line["padding"] <= 0.05 for line in runs.metrics("run"))


@pytest.mark.slow
def test_bfloat16_learns_the_same_to_its_precision(runs: Runs) -> None:
    runs.run("full", PLAIN)
    runs.run("half", PLAIN, {"training": {"precision": "bfloat16"}})
    assert runs.losses("half") == pytest.approx(runs.losses("full"), rel=0.05)


@pytest.mark.slow
def test_a_run_without_room_for_two_checkpoints_keeps_the_newest(runs: Runs) -> None:
    runs.run("run", OFTEN)
    kept = sorted(path.name for path in (runs.folder / "run" / "checkpoints").iterdir())
    assert len(kept) == 2
    assert kept[-1] == f"step-{runs.metrics('run')[-1]['step']:08d}"
    shutil.rmtree(runs.folder / "run" / "checkpoints" / kept[0])
    runs.run("run", OFTEN, resume=True)  # the newest alone is enough to go on from


def test_a_spectrogram_that_is_none_is_reported(runs: Runs) -> None:
    with pytest.raises(ConfigError, match=r'augment\.where is "spectrogram", but wav2vec2 has the waveform itself as'):
        runs.run("run", {"model": "wav2vec2-nano", "augment": {"where": "spectrogram"}})


def test_warping_what_is_no_spectrogram_is_reported(runs: Runs) -> None:
    with pytest.raises(
        ConfigError, match=r'augment\.frequency_warp is 0\.1; wanted 0, or augment\.where "spectrogram"'
    ):
        runs.config("run", {"augment": {"frequency_warp": 0.1}})
