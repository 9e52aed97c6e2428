"""When each part of an encoder is trained."""

from __future__ import annotations

import re

from speechxfer.config import PlanConfig
from speechxfer.errors import ConfigError

#: By place: 0 for what stands below the first layer, l + 1 for layer l. The epoch (from 0) from which it is trained;
#: None for never.
Wakes = tuple[int | None, ...]

_NAMED = re.compile(r"(?:(?P<first>\d+)(?:-(?P<last>\d+))?|frontend)@(?P<epoch>\d+)")


def wakes(config: PlanConfig, depth: int, *, epochs: int, head_only_ratio: float, new_head: bool) -> Wakes:
    """From which epoch on each part is trained, for an encoder of `depth` layers.

    Args:
        epochs: of the run.
        head_only_ratio: fraction of them in which only a new head is trained, where the settings name none.
        new_head: whether the head has yet to learn anything.

    Raises:
        ConfigError: a layer that does not exist, is frozen or is named twice; two schedules.
    """
    trained = _trained(config, depth)
    if (
        len(given := [name for name in ("unfreeze_at", "unfreeze_every", "head_only_ratio") if getattr(config, name)])
        > 1
    ):
        raise ConfigError(f"plan.{given[0]} and plan.{given[1]} are two schedules; give one of them")
    if config.unfreeze_at:
        named = _named(config.unfreeze_at, depth)
        if asleep := [place for place in named if place not in trained]:
            raise ConfigError(f"plan.unfreeze_at is {config.unfreeze_at!r}, but {_part(asleep[0])} is frozen to the end; leave it out, or train it ({_remedy(asleep[0])})")  # fmt: skip  # noqa: E501
        return tuple(named.get(place, 0) if place in trained else None for place in range(depth + 1))
    if config.unfreeze_every:
        return tuple(config.unfreeze_every * (depth + 1 - place) if place in trained else None for place in range(depth + 1))  # fmt: skip  # noqa: E501
    share = config.head_only_ratio
    if share is None:
        whole = trained.issuperset(range(1, depth + 1)) and not config.from_scratch
        share = head_only_ratio if whole else 0.0
    first = min(max(round(share * epochs), 1), epochs - 1) if share and new_head else 0
    return tuple(first if place in trained else None for place in range(depth + 1))


def _trained(config: PlanConfig, depth: int) -> set[int]:
    """Places that are trained in some epoch."""
    for name in ("freeze_below", "train_top", "reinit_top"):
        if (count := getattr(config, name) or 0) > depth:
            raise ConfigError(f"plan.{name} is {count}, but the encoder has {depth} layers; wanted at most {depth}")
    frozen = (config.freeze_below or 0) if config.train_top is None else depth - config.train_top
    trained = set(range(frozen + 1, depth + 1))
    frontend_moves = config.freeze_frontend is False or (config.from_scratch and config.freeze_frontend is None)
    return trained | {0} if frontend_moves else trained


def _named(wake: str, depth: int) -> dict[int, int]:
    """Place -> epoch (from 0) of "4@3, 0-2@6, frontend@9"."""
    found: dict[int, int] = {}
    for item in map(str.strip, wake.split(",")):
        match = _NAMED.fullmatch(item)
        if not match or not int(match["epoch"]):
            raise ConfigError(f"plan.unfreeze_at: {item!r}; wanted LAYER@EPOCH, FIRST-LAST@EPOCH or frontend@EPOCH with epochs from 1, as in '3@2, 0-2@4'")  # fmt: skip  # noqa: E501
        first = int(match["first"]) if match["first"] else -1
        last = int(match["last"]) if match["last"] else first
        if last >= depth or last < first:
            raise ConfigError(f"plan.unfreeze_at: {item!r} names a layer that does not exist; the encoder has layers 0 to {depth - 1}")  # fmt: skip  # noqa: E501
        for place in range(first + 1, last + 2):
            if place in found:
                raise ConfigError(f"plan.unfreeze_at: {item!r} unfreezes {_part(place)} a second time (first in epoch {found[place] + 1}); name it once")  # fmt: skip  # noqa: E501
            found[place] = int(match["epoch"]) - 1
    return found


def _part(place: int) -> str:
    return f"layer {place - 1}" if place else "the front end"


def _remedy(place: int) -> str:
    return f"--freeze-below {place - 1}" if place else "--train-frontend"
