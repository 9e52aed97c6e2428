"""From which epoch on each part of an encoder is trained."""

from __future__ import annotations

import re

from speechxfer.config import PlanConfig
from speechxfer.errors import ConfigError

#: First epoch (counted from 0) of each part, or None if it is always frozen. Part 0 is the front end, l + 1 is layer l.
FirstEpochs = tuple[int | None, ...]

_NAMED = re.compile(r"(?:(?P<first>\d+)(?:-(?P<last>\d+))?|frontend)@(?P<epoch>\d+)")


def first_epochs(config: PlanConfig, depth: int, *, epochs: int, head_only_ratio: float, new_head: bool) -> FirstEpochs:
    """The first epoch of each part of an encoder.

    Args:
        config: the settings.
        depth: layers of the encoder.
        epochs: of the run.
        head_only_ratio: fraction of them in which only a new head is trained, where the settings name none.
        new_head: whether the head is untrained.

    Raises:
        ConfigError: a layer that does not exist, is always frozen or is named twice; two schedules.
    """
    trained = _trained(config, depth)
    if (
        len(given := [name for name in ("unfreeze_at", "unfreeze_every", "head_only_ratio") if getattr(config, name)])
        > 1
    ):
        raise ConfigError(f"plan.{given[0]} and plan.{given[1]} are two schedules; give one of them")
    if config.unfreeze_at:
        named = _named(config.unfreeze_at, depth)
        if frozen := [part for part in named if part not in trained]:
            raise ConfigError(f"plan.unfreeze_at is {config.unfreeze_at!r}, but {_part(frozen[0])} is always frozen; leave it out, or train it ({_remedy(frozen[0])})")  # fmt: skip  # noqa: E501
        return tuple(named.get(part, 0) if part in trained else None for part in range(depth + 1))
    if config.unfreeze_every:
        return tuple(config.unfreeze_every * (depth + 1 - part) if part in trained else None for part in range(depth + 1))  # fmt: skip  # noqa: E501
    ratio = config.head_only_ratio
    if ratio is None:
        all_layers = trained.issuperset(range(1, depth + 1)) and not config.from_scratch
        ratio = head_only_ratio if all_layers else 0.0
    first = min(max(round(ratio * epochs), 1), epochs - 1) if ratio and new_head else 0
    return tuple(first if part in trained else None for part in range(depth + 1))


def _trained(config: PlanConfig, depth: int) -> set[int]:
    """Parts that are trained in any epoch."""
    for name in ("freeze_below", "train_top", "reinit_top"):
        if (count := getattr(config, name) or 0) > depth:
            raise ConfigError(f"plan.{name} is {count}, but the encoder has {depth} layers; wanted at most {depth}")
    frozen = (config.freeze_below or 0) if config.train_top is None else depth - config.train_top
    trained = set(range(frozen + 1, depth + 1))
    frontend_trained = config.freeze_frontend is False or (config.from_scratch and config.freeze_frontend is None)
    return trained | {0} if frontend_trained else trained


def _named(schedule: str, depth: int) -> dict[int, int]:
    """Part -> first epoch (counted from 0) of a schedule such as "4@3, 0-2@6, frontend@9"."""
    found: dict[int, int] = {}
    for item in map(str.strip, schedule.split(",")):
        match = _NAMED.fullmatch(item)
        if not match or not int(match["epoch"]):
            raise ConfigError(f"plan.unfreeze_at: {item!r}; wanted LAYER@EPOCH, FIRST-LAST@EPOCH or frontend@EPOCH with epochs from 1, as in '3@2, 0-2@4'")  # fmt: skip  # noqa: E501
        first = int(match["first"]) if match["first"] else -1
        last = int(match["last"]) if match["last"] else first
        if last >= depth or last < first:
            raise ConfigError(f"plan.unfreeze_at: {item!r} names a layer that does not exist; the encoder has layers 0 to {depth - 1}")  # fmt: skip  # noqa: E501
        for part in range(first + 1, last + 2):
            if part in found:
                raise ConfigError(f"plan.unfreeze_at: {item!r} unfreezes {_part(part)} a second time (first in epoch {found[part] + 1}); name it once")  # fmt: skip  # noqa: E501
            found[part] = int(match["epoch"]) - 1
    return found


def _part(part: int) -> str:
    return f"layer {part - 1}" if part else "the front end"


def _remedy(part: int) -> str:
    return f"--freeze-below {part - 1}" if part else "--train-frontend"
