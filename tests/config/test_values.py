"""Every setting refuses what it may not be, where it is given and by its name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from speechxfer.config import FinetuneConfig, PlanConfig, TrainingConfig, build, merge, nested
from speechxfer.config.values import Kind, OneOf, Range, kinds
from speechxfer.errors import ConfigError

LEAST = {"model": "m", "train": "t.jsonl", "dev": "d.jsonl", "output": "o"}


def settings(table: type = FinetuneConfig, where: str = "") -> Iterator[tuple[str, Kind]]:
    """All settings of a run with what they may be, groups as group.name."""
    for name, kind in kinds(table).items():
        if kind.is_group:
            yield from settings(kind.type, f"{where}{name}.")
        else:
            yield f"{where}{name}", kind


ALL = dict(settings())
NUMERIC = sorted(name for name, kind in ALL.items() if kind.type in (int, float))
#: What a setting needs beside it.
COMPANY: dict[str, dict[str, Any]] = {"augment.frequency_warp": {"augment.where": "spectrogram"}}


def config(name: str, value: Any) -> FinetuneConfig:
    return build(FinetuneConfig, merge([LEAST, nested(COMPANY.get(name, {})), nested({name: value})]))


def set_to(config: FinetuneConfig, name: str) -> Any:
    found: Any = config
    for part in name.split("."):
        found = found.groups[part] if part in getattr(found, "groups", {}) else getattr(found, part)
    return found


def test_every_number_has_a_range_that_its_default_is_in() -> None:
    for name in NUMERIC:
        limit = ALL[name].limit
        assert isinstance(limit, Range), name
        default = set_to(build(FinetuneConfig, LEAST), name)
        assert default is None or not limit.refuses(default), name


@pytest.mark.parametrize("name", NUMERIC)
def test_no_number_is_infinite_or_none(name: str) -> None:
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ConfigError) as caught:
            config(name, value)
        assert str(caught.value).startswith(f"{name} is {value!r}")
        assert str(ALL[name].limit) in str(caught.value)


def check_range(name: str, value: Any) -> None:
    """A number is taken in its range and refused outside."""
    kind, limit = ALL[name], ALL[name].limit
    assert isinstance(limit, Range)
    value = int(value) if kind.type is int else float(value)
    above = value >= limit.least if limit.with_least else value > limit.least
    below = value <= limit.most if limit.with_most else value < limit.most
    if above and below:
        assert set_to(config(name, value), name) == value
        return
    with pytest.raises(ConfigError) as caught:
        config(name, value)
    assert str(caught.value) == f"{name} is {value!r}; wanted {limit}"


@pytest.mark.parametrize("name", NUMERIC)
def test_a_number_is_taken_to_the_ends_of_its_range_and_refused_beyond(name: str) -> None:
    limit = ALL[name].limit
    assert isinstance(limit, Range)
    for value in (limit.least, limit.most, limit.least - 1, limit.most + 1):
        if math.isfinite(value):
            check_range(name, value)


@pytest.mark.slow
@examples(max_examples=500)
@given(name=st.sampled_from(NUMERIC), data=st.data())
def test_any_number_is_taken_in_its_range_and_refused_outside(name: str, data: st.DataObject) -> None:
    whole, real = st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False)
    check_range(name, data.draw(whole if ALL[name].type is int else real))


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_value_of_another_type_is_refused_in_a_line(name: str) -> None:
    kind = ALL[name]
    fits = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}[kind.type]
    for value in (None, True, 3, 2.5, "text", ["list"], {"a": 1}, {}):
        is_alike = isinstance(value, list) if kind.several else isinstance(value, fits)
        if (is_alike and (kind.type is bool or not isinstance(value, bool))) or (value is None and kind.optional):
            continue
        with pytest.raises(ConfigError) as caught:
            config(name, value)
        assert name in str(caught.value), value
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(name for name, kind in ALL.items() if isinstance(kind.limit, OneOf)))
def test_a_word_that_is_no_choice_is_refused_with_the_choices(name: str) -> None:
    limit = ALL[name].limit
    assert isinstance(limit, OneOf)
    value = ["sideways"] if ALL[name].several else "sideways"
    with pytest.raises(ConfigError, match=f"{name} is 'sideways'; wanted one of {', '.join(limit.words)}"):
        config(name, value)


def test_a_wrong_value_is_refused_where_it_is_given_in_python() -> None:
    with pytest.raises(ConfigError, match=r"training\.patience is -1; wanted at least 0"):
        TrainingConfig(patience=-1)
    with pytest.raises(ConfigError, match=r"plan is a group of settings; wanted plan\.KEY, found 3"):
        FinetuneConfig(**LEAST, plan=3)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"plan\.train_top is 'all', which is text; wanted a whole number"):
        FinetuneConfig(**LEAST, plan={"train_top": "all"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"plan\.encoder_lr is 'fast', which is text; wanted a number"):
        PlanConfig(encoder_lr="fast")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"training\.seed is 1\.5, which is no whole number"):
        dataclasses.replace(TrainingConfig(), seed=1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", ["9" * 400, "9" * 5000])
def test_a_number_of_many_digits_is_refused_in_a_line(number: str) -> None:
    from speechxfer.config import parse_assignment

    for name in ("training.epochs", "training.batch_seconds"):
        with pytest.raises(ConfigError, match=name) as caught:
            build(FinetuneConfig, merge([LEAST, parse_assignment(f"{name}={number}")]))
        assert len(str(caught.value)) < 300
