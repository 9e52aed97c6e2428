"""Runs and commands on recordings in archives and behind URLs: the same results as on loose files."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from speechxfer.cli import main
from tests.data.shards import encoded, shard
from tests.training.conftest import Runs, interrupted, texts

TRAIN, DEV = texts(12, 1), texts(4, 2)


@pytest.fixture
def bucket() -> Iterator[str]:
    root = f"memory://{uuid.uuid4().hex}"
    yield root
    fsspec.filesystem("memory").rm(root, recursive=True)


def in_tar(folder: Path, name: str, lines: list[str]) -> str:
    return str(shard(folder / f"{name}.tar", {f"{number:02}": text for number, text in enumerate(lines)}))


def in_parquet(folder: Path, name: str, lines: list[str]) -> str:
    path = folder / f"{name}.parquet"
    cells = [{"bytes": encoded(text), "path": None} for text in lines]
    pq.write_table(pa.table({"audio": cells, "text": lines}), path, row_group_size=5)
    return str(path)


def behind_a_url(root: str, name: str, lines: list[str]) -> str:
    store, manifest = fsspec.filesystem("memory"), io.StringIO()
    for number, text in enumerate(lines):
        store.pipe(f"{root}/{name}{number}.wav", encoded(text))
        manifest.write(json.dumps({"audio": f"{name}{number}.wav", "text": text}) + "\n")
    store.pipe(f"{root}/{name}.jsonl", manifest.getvalue().encode())
    return f"{root}/{name}.jsonl"


@pytest.fixture
def runs(whisper_folder: Path, tmp_path: Path) -> Runs:
    training = {"epochs": 2, "batch_seconds": 2.0, "cache_dir": str(tmp_path / "cache")}
    plan: dict[str, Any] = {"train_top": 1, "encoder_lr": 1e-2, "head_lr": 1e-2}
    loose = {"train": in_tar(tmp_path, "train", TRAIN), "dev": in_tar(tmp_path, "dev", DEV)}
    return Runs({"model": str(whisper_folder), "device": "cpu", "plan": plan, "training": training, **loose}, tmp_path)


@pytest.mark.slow
def test_losses_are_the_same_wherever_the_recordings_lie(
    runs: Runs, corpus: Callable[..., Path], bucket: str, tmp_path: Path
) -> None:
    runs.run("loose", {"train": str(corpus("train", TRAIN)), "dev": str(corpus("dev", DEV))})
    places = {
        "tar": {},
        "parquet": {"train": in_parquet(tmp_path, "train", TRAIN), "dev": in_parquet(tmp_path, "dev", DEV)},
        "url": {"train": behind_a_url(bucket, "train", TRAIN), "dev": behind_a_url(bucket, "dev", DEV)},
    }
    for name, layer in places.items():
        runs.run(name, layer)
        assert runs.metrics(name) == runs.metrics("loose"), name


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_an_interrupted_run_on_a_url_goes_on(runs: Runs, bucket: str, cache: str) -> None:
    layer = {"train": behind_a_url(bucket, "train", TRAIN), "training": {"cache": cache}}
    runs.run("whole", layer)
    interrupted(runs, "stopped", 3, layer)
    runs.run("stopped", layer, resume=True)
    assert runs.losses("stopped") == runs.losses("whole")


def test_commands_read_archives(runs: Runs, tmp_path: Path) -> None:
    runs.run("run")
    model, parquet = str(tmp_path / "run" / "model"), in_parquet(tmp_path, "dev", DEV)
    for arguments in (
        ["evaluate", model, parquet, "--output", str(tmp_path / "figures.json")],
        ["check", parquet],
        ["transcribe", model, runs.base["dev"], "--output-dir", str(tmp_path / "texts")],
    ):
        found = CliRunner().invoke(main, arguments)
        assert found.exit_code == 0, found.output
    assert json.loads((tmp_path / "figures.json").read_text())["utterances"] == len(DEV)
    assert len(list((tmp_path / "texts").rglob("*.txt"))) == len(DEV)
