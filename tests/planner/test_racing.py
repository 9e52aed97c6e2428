"""What is chosen after the trials."""

from __future__ import annotations

from speechxfer.planner.candidates import Candidate
from speechxfer.planner.forecast import LogForecast, Point
from speechxfer.planner.racing import Entry, in_order


def entry(preset: str, loss: float, deviation: float = 0.3, **changes: float) -> Entry:
    points = [Point(0.1, 10, 1.0, 0.5, 1.0)]
    return Entry(Candidate("m", preset, changes), points, loss=LogForecast(loss, deviation))


def test_of_what_trials_do_not_tell_apart_the_more_promising_is_chosen() -> None:
    entries = [entry("fine-tune", -1.4), entry("lower-layers", -1.5), entry("lora", -0.2)]
    assert [one.candidate.preset for one in in_order(entries)] == ["fine-tune", "lower-layers", "lora"]


def test_what_is_clearly_better_is_chosen() -> None:
    entries = [entry("fine-tune", -1.0), entry("lower-layers", -1.9)]
    assert in_order(entries)[0] is entries[1]


def test_of_variations_of_one_preset_the_better_is_chosen() -> None:
    entries = [entry("fine-tune", -1.4), entry("lora", -1.3), entry("fine-tune", -1.5, encoder_lr=1e-3)]
    assert in_order(entries)[0] is entries[2]


def test_what_was_not_tried_comes_last() -> None:
    entries = [Entry(Candidate("m", "fine-tune")), entry("lora", -1.3)]
    assert in_order(entries)[0] is entries[1]
