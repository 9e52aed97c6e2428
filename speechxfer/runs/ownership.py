"""Whose folder it is: which process writes there, and whether a run may begin, go on or replace another."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from speechxfer.config import FinetuneConfig, exists, flat, to_dict
from speechxfer.errors import ConfigError, SpeechxferError
from speechxfer.runs.folder import RunFolder
from speechxfer.storage import check_writer, only_writer

#: Settings that change where and how fast something is computed, but not what; a run may be resumed with others.
_FREE = (
    "output", "device", "compare_scratch", "training.cache", "training.cache_dir", "training.checkpoint_minutes",
    "training.fsdp", "training.guard", "training.trackers",
)  # fmt: skip
#: Settings that are paths; a run may be resumed with others where what they lead to has the same content.
PLACES = ("model", "train", "dev", "test", "retain", "retention.replay", "unlabeled", "language_model")


def check_idle(run: RunFolder) -> None:
    """Look whether another process is writing to a run.

    Raises:
        StorageError: one is.
    """
    check_writer(run.lock, str(run))


def check_free(run: RunFolder, config: FinetuneConfig, *, resume: bool, overwrite: bool) -> None:
    """Make sure that nobody's run is written over; nothing is written or removed.

    Raises:
        ConfigError: another run stands there, or the run to resume was started with other settings or by an earlier
            version.
    """
    if resume and overwrite:
        raise ConfigError("--resume goes on with a run and --overwrite throws it away; give one of them")
    there = next(path for path in (run.path, *run.path.absolute().parents) if exists(path))
    if not there.is_dir():
        raise ConfigError(f"{there}: is a file; wanted a folder for the run")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{there}: this user may not write there; choose another --output")
    if not run.is_occupied:
        return
    if resume:
        _check_same(run, config)
    elif not overwrite:
        raise ConfigError(f"{run}: holds another run; go on with --resume, replace it with --overwrite, or choose another --output")  # fmt: skip  # noqa: E501
    elif not run.has_config:
        raise ConfigError(f"{run}: is not a run (no {run.config_file.name}), so --overwrite leaves it alone; choose another --output")  # fmt: skip  # noqa: E501


@contextlib.contextmanager
def owned(run: RunFolder, config: FinetuneConfig, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """Make the folder and be the only process that writes there.

    A run that fails before its first step leaves a folder that was free as it was, so that the corrected command finds
    it free.

    Raises:
        ConfigError: as `check_free`, for another run may have come first.
        StorageError: another process is writing there, or the folder cannot be made.
    """
    with only_writer(run.lock, str(run)):
        check_free(run, config, resume=resume, overwrite=overwrite)
        was_free = not run.is_occupied
        try:
            yield
        except SpeechxferError:
            if was_free and not run.is_trained:
                run.clear()
                run.config_file.unlink(missing_ok=True)
            raise


def _check_same(run: RunFolder, config: FinetuneConfig) -> None:
    path = run.config_file
    if not run.has_config:
        raise ConfigError(f"{run}: is not a run (no {path.name}); choose another --output")
    run.check_layout()
    old, new = flat(to_dict(run.config)), flat(to_dict(config))
    # More or less time changes what comes from here on; none at all, or some instead of none, all of the run.
    free = (*_FREE, *(name for name in (*PLACES, "training.time") if old.get(name) and new.get(name)))
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key) and key not in free]
    if differing:
        changes = ", ".join(f"{key} was {old.get(key)!r}, now {new.get(key)!r}" for key in differing[:5])
        raise ConfigError(
            f"{path}: the run was started with other settings ({changes}); use the same ones, or --overwrite"
        )
