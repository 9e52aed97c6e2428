"""States that workers compute are those of this process; all that is sent to them goes through pickle here."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import speechxfer as sx
from speechxfer.data.manifest import Manifest
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import AudioError, ConfigError, SpeechxferError
from speechxfer.opening import open_checkpoint
from speechxfer.training.distributed import World
from speechxfer.training.frozen_pass import FrozenPass
from speechxfer.training.inputs import Copies, Key, LiveInputs
from speechxfer.training.remote_pass import FrozenTask, RemotePass
from tests.families.test_contracts import MODELS
from tests.families.tiny import Tiny
from tests.pickling import Pickling
from tests.training.conftest import Log, Runs

PRECISIONS = [torch.float32, torch.bfloat16]


@pytest.fixture(params=MODELS, ids=lambda tiny: tiny.name)
def encoder(request: pytest.FixtureRequest, tmp_path: Path) -> Encoder:
    tiny: Tiny = request.param
    tiny.save(tiny.build(), tmp_path / "model")
    return open_checkpoint(find(str(tmp_path / "model")), **tiny.options).encoder


def both(encoder: Encoder, copies: Copies, **settings: Any) -> tuple[FrozenPass, RemotePass]:
    seam = encoder.depth - 1
    inputs = LiveInputs(encoder, seam, copies)
    remote = RemotePass(Pickling(), inputs, encoder, seam, progress=Log(), **settings)
    return FrozenPass(inputs, encoder, seam, **settings), remote


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS, ids=["float32", "bfloat16"])
def test_states_are_those_of_this_process(
    encoder: Encoder, corpus: Callable[..., Path], precision: torch.dtype
) -> None:
    copies = Copies(Manifest.read(corpus("train", ["a", "bc", "abc", "ba"])), encoder, 1, seed=1, margin_s=0.2)
    batches: list[list[Key]] = [[(0, 1.0), (2, 0.9)], [(1, 1.0), (3, 1.0), (3, 0.9)]]
    here, remote = both(encoder, copies, precision=precision, cache_dtype="float16")
    expected = {key: states for _, found in here(batches) for key, states in found}
    found = {key: states for _, rows in remote(batches) for key, states in rows}
    assert found.keys() == expected.keys()
    for key, states in found.items():
        assert states.num_frames == expected[key].num_frames
        assert states.hidden_states.dtype == expected[key].hidden_states.dtype
        assert torch.equal(states.hidden_states, expected[key].hidden_states)
        assert states.hidden_states.untyped_storage().nbytes() == states.hidden_states.nbytes  # and no padding
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}


def test_what_cannot_be_read_is_left_out_of_training_and_an_error_elsewhere(
    whisper_folder: Path, corpus: Callable[..., Path]
) -> None:
    encoder, path = open_checkpoint(find(str(whisper_folder))).encoder, corpus("train", ["a", "bc", "abc"])
    copies = Copies(Manifest.read(path), encoder, 0, seed=1)
    (path.parent / "train1.wav").write_bytes(b"torn")
    _, remote = both(encoder, copies, precision=torch.float32, cache_dtype="float32")
    (computed,) = remote([copies.keys], leave_out=True)
    assert [key for key, _ in computed.states] == [(0, 1.0), (2, 1.0)]
    assert list(computed.wanted) == [(0, 1.0), (1, 1.0), (2, 1.0)]
    assert list(copies.unreadable) == [1]
    assert "train.jsonl:2: " in copies.unreadable[1]
    with pytest.raises(AudioError, match=r"train\.jsonl:2: "):
        list(remote([[(1, 1.0)]]))


def test_warnings_of_workers_are_reported(whisper_folder: Path, corpus: Callable[..., Path]) -> None:
    encoder, path = open_checkpoint(find(str(whisper_folder))).encoder, corpus("train", ["abc"])
    copies = Copies(Manifest.read(path), encoder, 0, seed=1)
    whole = (path.parent / "train0.wav").read_bytes()
    (path.parent / "train0.wav").write_bytes(whole[:-4000])
    log = Log()
    inputs = LiveInputs(encoder, 1, copies)
    remote = RemotePass(Pickling(), inputs, encoder, 1, precision=torch.float32, cache_dtype="float32", progress=log)
    list(remote([copies.keys]))
    (message,) = log.messages
    assert message.startswith(f"{path}:1: ")


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_run_is_the_same_whoever_computes(cache: str, runs: Runs) -> None:
    settings = {"training": {"cache": cache, "speed_copies": 1, "device_batch_seconds": 3.0}}
    engine = Pickling()
    sx.finetune(config=runs.config("remote", settings), engine=engine)
    assert {key[0] for batch in engine.sent for key in batch} == set(range(24))
    runs.run("here", settings, {"training": {"cache_dir": str(runs.folder / "other")}})
    assert runs.metrics("remote") == runs.metrics("here")
    sent = len(engine.sent)
    sx.finetune(config=runs.config("again", settings), engine=engine)
    assert (len(engine.sent) == sent) == (cache == "disk")


def test_what_has_to_be_the_same_on_workers() -> None:
    versions = FrozenTask.versions(None)  # type: ignore[arg-type]
    assert versions["speechxfer"] == importlib.metadata.version("speechxfer")
    assert "+" not in versions["torch"]  # which says only what it was built for


def test_a_batch_over_which_workers_are_lost_is_named(whisper_folder: Path, corpus: Callable[..., Path]) -> None:
    encoder = open_checkpoint(find(str(whisper_folder))).encoder
    copies = Copies(Manifest.read(corpus("train", ["a", "b"])), encoder, 0, seed=1)
    task = FrozenTask(LiveInputs(encoder, 1, copies), encoder, 1, torch.float32, "float32", True)
    with pytest.raises(SpeechxferError, match=r"train\.jsonl:2: 3 workers were lost over it \(it is computed with 1"):
        task.lost([(1, 1.0), (0, 1.0)], "3 workers were lost over it")


def test_several_processes_have_no_engine(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "join", lambda _device: World(0, 2))
    with pytest.raises(ConfigError, match="leave it out with torchrun"):
        sx.finetune(config=runs.config("run"), engine=Pickling())
    assert not (runs.folder / "run").exists()


def test_workers_that_are_not_there_are_noticed_before_the_work(runs: Runs) -> None:
    with pytest.raises(ConfigError, match="nobody answers"):
        sx.finetune(config=runs.config("run"), plan="auto", engine=Pickling(is_there=False))
    assert not (runs.folder / "run").exists()


def test_workers_that_have_nothing_to_do_are_reported(runs: Runs) -> None:
    log, engine = Log(), Pickling()
    sx.finetune(config=runs.config("run", {"training": {"cache": "off"}}), engine=engine, progress=log)
    assert "frozen layers, train: workers compute those that are kept, and none are" in log
    assert not engine.sent
