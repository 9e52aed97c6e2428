"""A run's folder: whose it is, what was asked for, and what may be removed."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from speechxfer.config import FinetuneConfig, to_dict
from speechxfer.errors import ConfigError
from speechxfer.storage import recover_all, write_text

CONFIG_FILE = "config.toml"
METRICS_FILE = "metrics.json"
#: Settings that change where and how fast something is computed, but not what; a run may be resumed with others.
_FREE = (
    "output", "device", "compare_scratch", "training.cache", "training.cache_dir", "training.checkpoint_minutes",
    "training.guard", "training.trackers",
)  # fmt: skip
#: What a run writes besides its settings.
_FOLDERS = ("checkpoints", "model", "nothing", "tensorboard", "scratch", "interpolated")
_FILES = (
    "metrics.jsonl", METRICS_FILE, "before.json", "after.json", "retain_before.json", "retain_after.json", "plan.json",
    "environment.json", "interpolation.json", "report.html",
)  # fmt: skip


def claim(folder: Path, config: FinetuneConfig, *, resume: bool, overwrite: bool) -> None:
    """Make sure that nobody's run is written over; nothing is removed yet.

    Raises:
        ConfigError: another run stands there, or the run to resume was started with other settings.
    """
    if resume and overwrite:
        raise ConfigError("--resume goes on with a run and --overwrite throws it away; give one of them")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file; wanted a folder for the run")
    occupied = folder.is_dir() and any(folder.iterdir())
    if not occupied:
        return
    if resume:
        _check_same(folder, config)
    elif not overwrite:
        raise ConfigError(f"{folder}: holds another run; go on with --resume, replace it with --overwrite, or choose another --output")  # fmt: skip  # noqa: E501
    elif not (folder / CONFIG_FILE).is_file():
        raise ConfigError(f"{folder}: is not a run (no {CONFIG_FILE}), so --overwrite leaves it alone; choose another --output")  # fmt: skip  # noqa: E501


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
    old, new = flat(tomllib.loads(path.read_text())), flat(to_dict(config))
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key) and key not in _FREE]
    if differing:
        changes = ", ".join(f"{key} was {old.get(key)!r}, now {new.get(key)!r}" for key in differing[:5])
        raise ConfigError(
            f"{path}: the run was started with other settings ({changes}); use the same ones, or --overwrite"
        )


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level: `{"plan": {"train_top": 1}}` -> `{"plan.train_top": 1}`."""
    level: dict[str, Any] = {}
    for key, value in values.items():
        level |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return level
