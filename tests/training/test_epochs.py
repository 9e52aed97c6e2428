from __future__ import annotations

from typing import Any

import pytest

import speechxfer as sx
from speechxfer.config import build, merge
from speechxfer.training.epochs import settled

LEAST = {"model": "m", "train": "train.jsonl", "dev": "dev.jsonl", "output": "run"}


def epochs(utterances: int | None, **layer: Any) -> int:
    """Of a run with so many training utterances, or where nobody may count them."""

    def count() -> int:
        assert utterances is not None
        return utterances

    return settled(build(sx.FinetuneConfig, merge([LEAST, layer])), count).training.epochs


@pytest.mark.parametrize(("utterances", "expected"), [(0, 20), (10, 20), (400, 20), (1000, 8), (2400, 3), (85_000, 3)])
def test_a_classifier_sees_each_of_many_utterances_less_often(utterances: int, expected: int) -> None:
    assert epochs(utterances, head="classification") == expected


def test_copies_at_other_speeds_are_utterances_too() -> None:
    assert epochs(500, head="classification", training={"speed_copies": 1}) == 8


def test_a_head_that_writes_text_sees_all_twenty_times() -> None:
    assert epochs(None, head="ctc") == epochs(None, head="seq2seq") == 20


def test_the_data_is_not_read_where_the_number_is_given() -> None:
    assert epochs(None, head="classification", training={"epochs": 30}) == 30
    assert epochs(None, head="classification", training={"steps_per_epoch": 10}) == 20
    assert epochs(None, head="classification", training={"time": "30m", "epochs": 5}) == 12
