"""Rows on a small cluster of this machine."""

import importlib.metadata
import json
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from speechxfer import extras
from speechxfer.cli import main
from speechxfer.errors import CheckpointError, ConfigError, MissingPackageError, SpeechxferError
from speechxfer.jobs import on_ray
from speechxfer.jobs.on_ray import OnRay
from speechxfer.jobs.running import Here, Totals, run
from speechxfer.jobs.work import Work
from tests.jobs.stand_ins import Doubled, Echo, Lengths, write_manifest

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def _cluster() -> Iterator[None]:
    # The path of a socket there may have at most 107 bytes.
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    ray.init(
        "local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=100_000_000, _temp_dir=folder,
    )  # fmt: skip
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def on_a_cluster(test: Callable[..., None]) -> Callable[..., None]:
    """A test whose workers are processes of their own."""
    marked: Callable[..., None] = pytest.mark.slow(pytest.mark.usefixtures("_cluster")(test))
    return marked


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_manifest(tmp_path / "m.jsonl", 95, 60.0)


def rows(folder: Path) -> list[str]:
    return sorted(line for path in folder.glob("part-*") for line in path.read_text().splitlines())


def on_cluster(work: Work, manifest: Path, folder: Path, engine: OnRay | None = None) -> Totals:
    return run(work, [str(manifest)], folder, "jsonl", engine or OnRay())


@on_a_cluster
def test_rows_are_those_of_this_process(manifest: Path, tmp_path: Path) -> None:
    assert on_cluster(Echo(), manifest, tmp_path / "ray") == Totals(rows=95, seconds=5700.0)
    run(Echo(), [str(manifest)], tmp_path / "here", "jsonl", Here())
    assert rows(tmp_path / "ray") == rows(tmp_path / "here")
    assert on_cluster(Echo(), manifest, tmp_path / "ray").before == 95


@on_a_cluster
def test_a_row_that_kills_workers_gets_an_error_and_all_others_their_results(manifest: Path, tmp_path: Path) -> None:
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text("".join([*lines[:7], '{"audio": "kills.wav"}\n', *lines[7:]]))
    totals = on_cluster(Echo(), manifest, tmp_path / "out")
    assert (totals.rows, totals.failed) == (96, 1)
    (bad,) = [row for row in map(json.loads, rows(tmp_path / "out")) if "error" in row]
    assert bad["id"].endswith("/kills.wav")
    assert "workers were lost over it" in bad["error"]


@on_a_cluster
def test_rows_that_failed_are_computed_again_on_request(corpus, tmp_path: Path) -> None:
    path = corpus("train", ["ab", "abc", "a b c"])
    (path.parent / "train1.wav").rename(tmp_path / "away.wav")
    assert on_cluster(Lengths(), path, tmp_path / "ray").failed == 1
    (tmp_path / "away.wav").rename(path.parent / "train1.wav")
    retried = run(Lengths(), [str(path)], tmp_path / "ray", "jsonl", OnRay(), retry_failed=True)
    assert (retried.rows, retried.failed, retried.before) == (1, 0, 2)
    run(Lengths(), [str(path)], tmp_path / "here", "jsonl", Here())
    assert rows(tmp_path / "ray") == rows(tmp_path / "here")


@on_a_cluster
def test_what_check_measures_is_measured_by_workers(corpus) -> None:
    path = corpus("train", ["ab", "abc", "a b c", "cab"])
    with path.open("a") as file:
        file.write('{"audio": "gone.wav", "text": "a"}\n{"audio": "train1.wav", "text": "abc"}\n')
    result = CliRunner().invoke(main, ["check", str(path), "--engine", "ray"])
    assert result.exit_code == 1, result.stderr
    assert result.stdout == CliRunner().invoke(main, ["check", str(path), "--workers", "1"]).stdout
    assert "train.jsonl:5: error: " in result.stdout


@on_a_cluster
def test_tasks_read_for_actors(corpus, tmp_path: Path) -> None:
    path = corpus("train", ["ab", "abc", "a b c", "cab"])
    with path.open("a") as file:
        file.write('{"audio": "gone.wav"}\n{"audio": "train1.wav", "start": 0.1, "duration": 0.2}\n')
    totals = on_cluster(Lengths(), path, tmp_path / "ray", OnRay(actors=1, readers=1))
    assert (totals.rows, totals.failed) == (6, 1)
    run(Lengths(), [str(path)], tmp_path / "here", "jsonl", Here())
    assert rows(tmp_path / "ray") == rows(tmp_path / "here")


@on_a_cluster
@pytest.mark.parametrize(
    ("work", "error", "message"),
    [
        (Echo(problem="differs"), ConfigError, r"the worker on \S+ has model \d+, and the driver \d+"),
        (Echo(problem="missing"), CheckpointError, "m: no such model"),
        (Echo(problem="kills"), SpeechxferError, "10 workers were lost while they opened the model"),
    ],
)
def test_workers_that_cannot_do_the_work_end_the_job(
    work: Work, error: type[Exception], message: str, manifest: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        on_cluster(work, manifest, tmp_path / "out")
    assert not rows(tmp_path / "out")


@on_a_cluster
def test_a_bug_ends_the_job(manifest: Path, tmp_path: Path) -> None:
    manifest.write_text('{"audio": "bug.wav"}\n')
    with pytest.raises(ZeroDivisionError, match="a bug"):
        on_cluster(Echo(), manifest, tmp_path / "out")


@on_a_cluster
def test_what_the_cluster_lacks_is_reported(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the cluster has no GPU"):
        on_cluster(Echo(), manifest, tmp_path / "out", OnRay(gpus=True))
    with pytest.raises(ConfigError, match="the cluster has 2 cores, too few for 3 actors"):
        on_cluster(Echo(), manifest, tmp_path / "out", OnRay(actors=3))


@pytest.mark.parametrize(
    ("engine", "resources", "wanted"),
    [
        (OnRay(), {"CPU": 8.0}, (8, False, 0)),
        (OnRay(readers=1), {"CPU": 8.0}, (4, False, 1)),
        (OnRay(), {"CPU": 8.0, "GPU": 2.0}, (2, True, 1)),
        (OnRay(gpus=False, actors=3), {"CPU": 8.0, "GPU": 2.0}, (3, False, 0)),
    ],
)
def test_actors_are_as_the_cluster_is(engine: OnRay, resources: dict[str, float], wanted: tuple) -> None:
    shape = engine.shape(resources)
    assert (shape.actors, shape.on_gpus, shape.readers) == wanted


def test_an_address_that_nobody_answers_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"--address {address}: nobody answers there"):
            OnRay(address).check()
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(ConfigError, match=f"--address {address}: nobody answers there"):
            OnRay().check()
    with pytest.raises(ConfigError, match="ray job submit"):
        OnRay("ray://head:10001").check()


def test_ray_of_another_major_version_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "3.0.1")
    with pytest.raises(ConfigError, match=r"ray 3\.0\.1 is installed; wanted 2"):
        on_ray.check_installed()


def test_ray_that_is_missing_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "is_installed", lambda _module: False)
    with pytest.raises(MissingPackageError, match=r"--engine ray needs ray, .*'speechxfer\[ray\]'"):
        on_ray.check_installed()


@on_a_cluster
def test_items_of_a_task_are_computed_by_workers() -> None:
    """Those over which workers are lost, too: by what the task has for them."""
    found = sorted(OnRay().map(Doubled(), [1, 2, 3, Doubled.KILLS]))
    assert found == [-1, 2, 4, 6]


@on_a_cluster
def test_frozen_layers_are_computed_by_workers(corpus, whisper_folder: Path, tmp_path: Path) -> None:
    train, dev = corpus("train", ["ab", "abc", "a b c", "cab"]), corpus("dev", ["ba", "c"])
    (train.parent / "torn.wav").write_bytes(b"torn")
    with train.open("a") as file:
        file.write('{"audio": "torn.wav", "text": "a", "duration": 0.5}\n')
    options = [
        "finetune", "--model", str(whisper_folder), "--train", str(train), "--dev", str(dev), "--epochs", "1",
        "--lm", "none", "--device", "cpu", "--set", "plan.train_top=1", "--cache", "disk",
    ]  # fmt: skip
    losses = []
    for engine in ("ray", "local"):
        folder = tmp_path / engine
        result = CliRunner().invoke(
            main, [*options, "--engine", engine, "--output", str(folder), "--cache-dir", f"{folder}-cache"]
        )
        assert result.exit_code == 0, result.output
        assert "1 of 5 training utterances cannot be read and are not used" in result.output
        losses.append(json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])["loss"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


@on_a_cluster
def test_utterances_are_evaluated_by_workers(corpus, spelling_whisper: Path) -> None:
    path = corpus("test", ["ab", "abc", "a b c", "cab"])
    found = []
    for engine in ("ray", "local"):
        result = CliRunner().invoke(
            main, ["evaluate", str(spelling_whisper), str(path), "--engine", engine, "--device", "cpu"]
        )
        assert result.exit_code == 0, result.output
        found.append(json.loads(result.stdout))
    assert found[0] == found[1]
