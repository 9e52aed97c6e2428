"""TensorBoard's event files, and other trackers by name."""

from __future__ import annotations

import gc
import importlib.util
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import accelerate.logging
import accelerate.tracking
import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import RecordWriter

import speechxfer as sx
from speechxfer.errors import ConfigError
from speechxfer.runs import RunFolder
from speechxfer.training.callbacks.trackers import Trackers
from tests.training.conftest import Log, Runs

SHORT: dict[str, Any] = {"training": {"epochs": 2}}


def events(folder: Path) -> Iterator[Any]:
    """What the event files hold: records of a length (8 bytes and 4 of checksum), an event and 4 bytes of checksum."""
    for path in sorted(RunFolder(folder).tensorboard.glob("*tfevents*")):
        data = path.read_bytes()
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            yield Event.FromString(data[12 : 12 + size])
            data = data[16 + size :]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for event in events(folder):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


class Notebook:
    """Stands for a service: keeps what is logged."""

    made: ClassVar[list[Notebook]] = []

    def __init__(self, project: str, name: str) -> None:
        self.project, self.name, self.lines, self.finished = project, name, [], False
        self.settings: dict[str, Any] = {}
        Notebook.made.append(self)

    def start(self) -> None:
        accelerate.logging.get_logger(__name__).debug("begun")  # as all of accelerate's do

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.settings = values

    def log(self, values: dict[str, float], step: int) -> None:
        self.lines.append((step, values))

    def finish(self) -> None:
        self.finished = True


class Failing(Notebook):
    def log(self, values: dict[str, float], step: int) -> None:
        raise ConnectionError("nobody answers")


def standing(folder: Path, step: int, progress: sx.Progress | None = None) -> Any:
    """What a tracker looks at of a run's state."""
    return SimpleNamespace(is_main=True, folder=RunFolder(folder), step=step, progress=progress or sx.Progress())


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerate.PartialState._reset_state()  # what another test left
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name == "wandb" else real(name))
    Notebook.made.clear()


def test_every_epoch_and_some_steps_are_in_tensorboard(runs: Runs) -> None:
    runs.run("run")
    found, lines = scalars(runs.folder / "run"), runs.metrics("run")
    assert found["dev/wer"] == [(line["step"], pytest.approx(line["dev_wer"])) for line in lines]
    assert found["epoch/loss"] == [(line["step"], pytest.approx(line["loss"])) for line in lines]
    assert {"dev/loss", "epoch/gradient_norm", "epoch/encoder_rate", "epoch/head_rate", "epoch/padding"} <= found.keys()
    steps = [step for step, _ in found["train/loss"]]
    assert steps == list(range(10, lines[-1]["step"] + 1, 10))


def test_a_run_leaves_no_buffer_behind(runs: Runs) -> None:
    runs.run("run", SHORT)
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is RecordWriter]


@pytest.mark.usefixtures("_installed")
def test_a_tracker_gets_the_settings_and_every_epoch(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(accelerate.tracking.LOGGER_TYPE_TO_CLASS, "wandb", Notebook)
    runs.run("run", SHORT, {"training": {"trackers": ["wandb"]}})
    (book,) = Notebook.made
    assert (book.project, book.name, book.finished) == ("speechxfer", "run", True)
    assert book.settings["training.epochs"] == 2
    assert [values["dev/wer"] for _, values in book.lines if "dev/wer" in values] == [
        line["dev_wer"] for line in runs.metrics("run")
    ]


@pytest.mark.usefixtures("_installed")
def test_a_tracker_that_fails_on_the_way_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(accelerate.tracking.LOGGER_TYPE_TO_CLASS, "wandb", Failing)
    log = Log()
    state, trackers = standing(tmp_path / "run", 0, log), Trackers(["wandb"], {})
    trackers.on_begin(state)
    for step in (1, 2):
        trackers.on_log(state, {"loss": 1.0}, step)
    trackers.on_end(state)
    assert log.messages == ["wandb: takes no more figures (nobody answers); the run goes on without it"]
    assert [step for step, _ in scalars(tmp_path / "run")["loss"]] == [1, 2]
    assert not Notebook.made[-1].finished


@pytest.mark.usefixtures("_installed")
def test_a_tracker_that_cannot_start_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(project: str, name: str) -> None:
        raise PermissionError("no API key")

    monkeypatch.setitem(accelerate.tracking.LOGGER_TYPE_TO_CLASS, "wandb", refusing)
    with pytest.raises(ConfigError, match=r"wandb cannot be started \(no API key\); .*--track wandb"):
        Trackers(["wandb"], {}).on_begin(standing(tmp_path, 0))


def test_a_missing_package_and_an_unknown_name_are_reported_before_the_work(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mlflow" else name)
    with pytest.raises(ConfigError, match="the package mlflow is not installed; pip install mlflow"):
        runs.run("run", {"training": {"trackers": ["mlflow"]}})
    assert not (runs.folder / "run").exists()
    with pytest.raises(ConfigError, match="trackers is 'visdom'; wanted one of mlflow, trackio, wandb"):
        runs.config("run", {"training": {"trackers": ["visdom"]}})
    with pytest.raises(ConfigError, match=r"training\.trackers is 'wandb'; wanted a list"):
        runs.config("run", {"training": {"trackers": "wandb"}})


def test_what_was_written_beyond_the_checkpoint_is_purged_on_resuming(tmp_path: Path) -> None:
    state, trackers = standing(tmp_path, 7), Trackers([], {})
    trackers.on_begin(state)
    trackers.on_log(state, {"loss": 1.0}, 8)
    trackers.on_end(state)
    started = [event for event in events(tmp_path) if event.HasField("session_log")]
    assert [event.step for event in started] == [8]  # from there on, TensorBoard forgets what it had
