"""A run's folder: whose it is, what was asked for, and what may be removed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import tomli_w

from speechxfer.config import FinetuneConfig, exists, flat, read_config, to_dict
from speechxfer.errors import ConfigError, SpeechxferError
from speechxfer.storage import check_writer, only_writer, recover_all, write_text

CONFIG_FILE = "config.toml"
METRICS_FILE = "metrics.json"
#: Held by the process that writes; no part of the run.
LOCK_FILE = "run.lock"
#: Settings that change where and how fast something is computed, but not what; a run may be resumed with others.
_FREE = (
    "output", "device", "compare_scratch", "training.cache", "training.cache_dir", "training.checkpoint_minutes",
    "training.guard", "training.trackers",
)  # fmt: skip
#: Settings that are paths; a run may be resumed with others where what they lead to is the same (see `sources`).
PLACES = ("model", "train", "dev", "test", "retain", "retention.replay")
#: What a run writes besides its settings.
_FOLDERS = ("checkpoints", "model", "nothing", "tensorboard", "scratch", "interpolated")
_FILES = (
    "metrics.jsonl", METRICS_FILE, "before.json", "after.json", "retain_before.json", "retain_after.json", "plan.json",
    "sources.json", "environment.json", "interpolation.json", "report.html",
)  # fmt: skip


def is_run(folder: Path) -> bool:
    """Whether a run was begun in a folder."""
    return (folder / CONFIG_FILE).is_file() and any((folder / name).exists() for name in (*_FOLDERS, *_FILES))


def claim(folder: Path, config: FinetuneConfig, *, resume: bool, overwrite: bool) -> None:
    """Make sure that nobody's run is written over; nothing is written or removed.

    Raises:
        ConfigError: another run stands there, or the run to resume was started with other settings.
    """
    if resume and overwrite:
        raise ConfigError("--resume goes on with a run and --overwrite throws it away; give one of them")
    there = next(path for path in (folder, *folder.absolute().parents) if exists(path))
    if not there.is_dir():
        raise ConfigError(f"{there}: is a file; wanted a folder for the run")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{there}: this user may not write there; choose another --output")
    if not _is_occupied(folder):
        return
    if resume:
        _check_same(folder, config)
    elif not overwrite:
        raise ConfigError(f"{folder}: holds another run; go on with --resume, replace it with --overwrite, or choose another --output")  # fmt: skip  # noqa: E501
    elif not (folder / CONFIG_FILE).is_file():
        raise ConfigError(f"{folder}: is not a run (no {CONFIG_FILE}), so --overwrite leaves it alone; choose another --output")  # fmt: skip  # noqa: E501


def check_idle(folder: Path) -> None:
    """Look whether another process is writing to a run.

    Raises:
        StorageError: one is.
    """
    check_writer(folder / LOCK_FILE, str(folder))


@contextlib.contextmanager
def taken(folder: Path, config: FinetuneConfig, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """Make the folder and be the only run that writes there.

    A run that fails before it has learned anything leaves a folder that was free as it was, so that the corrected
    command finds it free.

    Raises:
        ConfigError: as `claim`, for another run may have come first.
        StorageError: another run is writing there, or the folder cannot be made.
    """
    with only_writer(folder / LOCK_FILE, str(folder)):
        claim(folder, config, resume=resume, overwrite=overwrite)
        was_free = not _is_occupied(folder)
        try:
            yield
        except SpeechxferError:
            if was_free and not _has_learned(folder):
                clear(folder)
                (folder / CONFIG_FILE).unlink(missing_ok=True)
            raise


def _is_occupied(folder: Path) -> bool:
    return folder.is_dir() and any(item.name != LOCK_FILE for item in folder.iterdir())


def _has_learned(folder: Path) -> bool:
    """Whether there is a model or a checkpoint after the first step."""
    checkpoints = (folder / "checkpoints").glob("step-*")
    return (folder / "model").exists() or any(int(path.name.removeprefix("step-")) for path in checkpoints)


def clear(folder: Path) -> None:
    """Remove what the run that stood here had written, now that the new one is known to be sound."""
    for name in _FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)


def mend(folder: Path) -> None:
    """Put right what a killed run left: half-replaced folders, temporary files."""
    recover_all(folder)
    recover_all(folder / "checkpoints")
    recover_all(folder / "nothing")


def write_config(folder: Path, config: FinetuneConfig) -> None:
    """Write the settings, so that the run can be replayed."""
    write_text(folder / CONFIG_FILE, tomli_w.dumps(to_dict(config)))


def _check_same(folder: Path, config: FinetuneConfig) -> None:
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ConfigError(f"{folder}: is not a run (no {CONFIG_FILE}); choose another --output")
    old, new = flat(to_dict(read_config(path))), flat(to_dict(config))
    free = (*_FREE, *(name for name in PLACES if name in old and name in new))
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key) and key not in free]
    if differing:
        changes = ", ".join(f"{key} was {old.get(key)!r}, now {new.get(key)!r}" for key in differing[:5])
        raise ConfigError(
            f"{path}: the run was started with other settings ({changes}); use the same ones, or --overwrite"
        )
