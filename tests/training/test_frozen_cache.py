"""The cache is only a cache: the same losses with it and without, and nothing old is ever taken for new."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file, save_file

from speechxfer.config import TrainingConfig
from speechxfer.data.manifest import Manifest
from speechxfer.encoders import load_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.errors import StorageError
from speechxfer.progress import Progress
from speechxfer.training import frozen_pass
from speechxfer.training import preparation as preparation_module
from speechxfer.training.frozen_cache import FrozenCache, Sounds, States, prefix_digest
from speechxfer.training.preparation import Preparation
from tests.training.conftest import Runs

NOISY = {"training": {"speed_copies": 1, "dropout": 0.1}, "augment": {"mask_time_prob": 0.2}}


def cached(place: str, dtype: str = "float32") -> dict[str, Any]:
    return {"training": {"cache": place, "cache_dtype": dtype}}


@pytest.mark.slow
def test_losses_are_the_same_with_every_cache_and_without(runs: Runs) -> None:
    for place in ("off", "memory", "disk"):
        runs.run(place, NOISY, cached(place))
    for place in ("memory", "disk"):
        assert runs.losses(place) == pytest.approx(runs.losses("off"), abs=1e-4)
    runs.run("half", NOISY, cached("disk", "half"))
    assert runs.losses("half") == pytest.approx(runs.losses("off"), abs=1e-2)


@pytest.mark.slow
def test_unfreezing_is_the_same_with_every_cache_and_without(runs: Runs) -> None:
    for plan in ({"train_top": 2}, {"train_top": None, "freeze_frontend": False}):
        gradual = {"plan": {**plan, "unfreeze_every": 1}, "training": {"epochs": 5}}
        name = str(plan.get("train_top"))
        for place in ("off", "memory", "disk"):
            runs.run(f"{place}{name}", NOISY, gradual, cached(place))
        for place in ("memory", "disk"):
            assert runs.losses(f"{place}{name}") == pytest.approx(runs.losses(f"off{name}"), abs=1e-3)


def test_a_layer_that_sleeps_does_not_move(runs: Runs) -> None:
    runs.run("gradual", {"plan": {"train_top": 2, "unfreeze_every": 2}, "training": {"epochs": 2}})
    before = find(runs.base["model"]).read()[1]
    after = load_file(runs.folder / "gradual" / "model" / "model.safetensors")
    for name, value in after.items():
        if name.startswith("encoder."):
            assert torch.equal(value, before[name.replace("encoder.modules_", "model.encoder")]), name


def test_a_second_run_finds_what_the_first_computed(runs: Runs) -> None:
    first = runs.run("first", cached("disk"))
    assert "frozen layers, train: writing" in first
    second = runs.run("second", cached("disk"))
    assert "frozen layers, train: all 24 found" in second
    assert runs.metrics("first") == runs.metrics("second")


def damage_by_cutting(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def damage_by_zeros(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-500:] = bytes(500)
    path.write_bytes(content)


def another_version(path: Path) -> None:
    save_file(load_file(path), path, metadata={"format": "speechxfer frozen states 0"})


def no_safetensors(path: Path) -> None:
    path.write_text("hello")


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [damage_by_cutting, damage_by_zeros, another_version, no_safetensors])
def test_a_spoilt_file_is_reported_and_computed_again(runs: Runs, spoil: Any) -> None:
    runs.run("first", cached("disk"))
    for path in (runs.folder / "cache").rglob("*.safetensors"):
        spoil(path)
    second = runs.run("second", cached("disk"))
    assert "damaged or written by another version; computed again" in second
    assert runs.metrics("first") == runs.metrics("second")
    assert "frozen layers, train: all 24 found" in runs.run("third", cached("disk"))


def test_changed_audio_is_another_entry(runs: Runs) -> None:
    runs.run("first", cached("disk"))
    audio = Path(runs.base["train"]).parent / "train3.wav"
    samples, rate = soundfile.read(audio)
    soundfile.write(audio, samples[::-1], rate)
    second = runs.run("second", cached("disk"))
    assert "frozen layers, train: writing" in second
    assert runs.losses("second") != runs.losses("first")


@pytest.fixture
def encoder(whisper_folder: Path) -> Encoder:
    return load_encoder("tiny", *find(str(whisper_folder)).read())


def test_the_prefix_is_named_by_all_that_decides_its_output(encoder: Encoder) -> None:
    name = prefix_digest(encoder, 1, dtype="half")
    assert name == prefix_digest(encoder, 1, dtype="half")
    others = {prefix_digest(encoder, cut, dtype=dtype) for cut, dtype in ((0, "half"), (2, "half"), (1, "float32"))}
    above = encoder.layer_groups()[-1].parameters()[0]
    with torch.no_grad():
        above.add_(1.0)
    assert prefix_digest(encoder, 1, dtype="half") == name, "what is trained decides nothing below the seam"
    with torch.no_grad():
        encoder.layer_groups()[1].parameters()[0][0] += 1e-3
    assert name not in {*others, prefix_digest(encoder, 1, dtype="half")}


def test_a_sound_is_named_by_file_excerpt_and_speed(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("copy", 1), ("b", 2)):
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(seed).normal(0, 0.1, 16_000), 16_000)
    lines = [
        {"audio": "a.wav"}, {"audio": "copy.wav"}, {"audio": "b.wav"},
        {"audio": "a.wav", "start": 0.5}, {"audio": "a.wav", "duration": 0.5},
    ]  # fmt: skip
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    sounds = Sounds()
    whole, copy, *others = [sounds.digest(utterance, 1.0) for utterance in Manifest.read(tmp_path / "m.jsonl")]
    faster = sounds.digest(Manifest.read(tmp_path / "m.jsonl")[0], 1.1)
    assert whole == copy
    assert len({whole, faster, *others}) == 5


def test_entries_are_mapped_not_read(tmp_path: Path) -> None:
    cache = FrozenCache(tmp_path, "prefix")
    cache.write({"x": States(torch.arange(12.0).view(3, 4), 2), "y": States(torch.ones(1, 4).half(), 1)})
    found, spoilt = cache.read(["x", "z"])
    assert list(found) == ["x"]
    assert not spoilt
    assert torch.equal(found["x"].hidden_states, torch.arange(12.0).view(3, 4))
    assert found["x"].num_frames == 2
    assert FrozenCache(tmp_path, "another").read(["x"]) == ({}, [])


def unwritable(*_arguments: Any) -> None:
    raise StorageError("/full/cache: could not be written (No space left on device).")


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_stops_nothing_unless_it_was_asked_for(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.run("off", cached("off"))
    monkeypatch.setattr(FrozenCache, "write", unwritable)
    with pytest.raises(StorageError, match=r"No space left on device.* Or take --cache memory or --cache off"):
        runs.run("disk", cached("disk"))
    monkeypatch.setattr(preparation_module, "_free_memory", lambda: 1)
    monkeypatch.setattr(preparation_module, "_DISK_BYTES_PER_S", 1e12)
    log = runs.run("auto", cached("auto"))
    assert "No space left on device). The frozen layers are computed in every epoch." in log
    assert runs.losses("auto") == runs.losses("off")


def test_the_disk_is_never_filled(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage._replace(free=10_000))
    with pytest.raises(StorageError, match=r"needs .* but only 0 MB are free"):
        runs.run("disk", cached("disk"))
    monkeypatch.setattr(preparation_module, "_free_memory", lambda: 1)
    assert "more than half of the free disk; computed in every epoch" in runs.run("auto", cached("auto"))


@pytest.mark.slow
def test_auto_takes_memory_then_disk_where_that_saves_time(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hidden states kept in memory" in runs.run("memory")
    assert "used once each" in runs.run("once", {"training": {"epochs": 1}})
    monkeypatch.setattr(preparation_module, "_free_memory", lambda: 1)
    assert "hidden states kept on disk" in runs.run("disk")
    monkeypatch.setattr(preparation_module, "_DISK_BYTES_PER_S", 1.0)
    assert "from disk longer" in runs.run("slow")


@pytest.mark.slow
def test_what_exceeds_half_precision_is_not_lost(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_pass, "_LARGEST_HALF", 0.0)
    runs.run("wide", cached("disk", "half"))
    runs.run("off", cached("off"))
    stored = [load_file(path) for path in (runs.folder / "cache").rglob("*.safetensors")]
    assert {tensor.dtype for tensors in stored for tensor in tensors.values()} == {torch.bfloat16}
    assert runs.losses("wide") == pytest.approx(runs.losses("off"), abs=0.1)


@pytest.mark.slow
def test_memory_that_runs_out_over_the_frozen_layers_means_smaller_batches(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.run("whole", cached("memory"))
    real = Encoder.run

    def short_of_memory(encoder: Encoder, states: torch.Tensor, *arguments: Any) -> torch.Tensor:
        if not torch.is_grad_enabled() and not torch.is_inference_mode_enabled() and len(states) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(encoder, states, *arguments)

    monkeypatch.setattr(Encoder, "run", short_of_memory)
    runs.run("pieces", cached("memory"))
    assert runs.losses("pieces") == pytest.approx(runs.losses("whole"), abs=1e-4)


def test_what_killed_writers_left_goes_after_a_day(tmp_path: Path) -> None:
    cache = FrozenCache(tmp_path, "prefix")
    cache.folder.mkdir(parents=True)
    old, new = cache.folder / ".a.abc.tmp", cache.folder / ".b.abc.tmp"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    cache.tidy()
    assert not old.exists()
    assert new.exists()


class _Together:
    """Two processes played by two threads."""

    def __init__(self, rank: int, met: threading.Barrier, parts: dict[int, Any]) -> None:
        self.rank, self.size, self.is_main = rank, 2, rank == 0
        self._met, self._parts = met, parts

    def gather(self, items: dict[int, Any]) -> dict[int, Any]:
        self._met.wait(20)  # all have read what was said before
        self._parts.update(items)
        self._met.wait(20)
        return dict(self._parts)

    def sharing(self, _folder: Path) -> list[int]:
        return [0, 1]


def test_a_process_that_looks_later_leaves_nothing_out(
    encoder: Encoder, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, manifest = FrozenCache.read, Manifest.read(runs.base["train"])
    training = TrainingConfig(cache="disk", cache_dir=str(tmp_path / "cache"), device_batch_seconds=2.0)

    def slow_to_look(cache: FrozenCache, names: Any) -> Any:
        if threading.current_thread().name.endswith("_1"):
            time.sleep(0.5)
        return real(cache, names)

    monkeypatch.setattr(FrozenCache, "read", slow_to_look)
    met = threading.Barrier(2)
    parts: dict[int, Any] = {}

    def kept(rank: int) -> set[Any]:
        world: Any = _Together(rank, met, parts)
        inputs: Any = Preparation(encoder, training, torch.float32, world, Progress()).inputs(manifest, 1, "train")
        return set(inputs.kept)

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(kept, range(2)))
    assert both[0] == both[1] == {(index, 1.0) for index in range(len(manifest))}
