from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from speechxfer.training.optimizer import Rates, adamw, rate_factor

SHARE = st.floats(0.0, 1.0, exclude_max=True)


@given(SHARE, st.floats(0.01, 0.5))
def test_rates_rise_in_a_straight_line_and_fall_in_another(done: float, warmup: float) -> None:
    expected = done / warmup if done < warmup else (1.0 - done) / (1.0 - warmup)
    assert rate_factor(done, warmup) == pytest.approx(expected)


@given(SHARE, st.just(0.0) | st.floats(0.01, 0.5), SHARE)
def test_what_wakes_later_rises_from_nothing_and_falls_with_the_others(
    done: float, warmup: float, begun: float
) -> None:
    others, late = rate_factor(done, warmup), rate_factor(done, warmup, begun)
    assert 0.0 <= late <= others + 1e-12
    if warmup and done <= begun:
        assert late == 0.0
    if done >= begun + warmup:
        assert late == pytest.approx((1.0 - done) / (1.0 - warmup))


def test_each_group_has_its_own_rate() -> None:
    encoder, head = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    groups = [
        {"params": [encoder.weight], "lr": 0.1, "first_epoch": 2},
        {"params": [head.weight], "lr": 1.0, "first_epoch": 0},
    ]
    optimizer = adamw(groups)
    rates = Rates(optimizer, warmup=0.1, epochs=10)
    parts = {"encoder": encoder, "head": head, "nothing": nn.Linear(1, 1)}
    rates.set(0.2, 1.0)
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, pytest.approx(0.8 / 0.9)]
    rates.set(0.25, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.025, 0.5 * 0.75 / 0.9])
    assert rates.highest(parts) == pytest.approx({"encoder": 0.025, "head": 0.5 * 0.75 / 0.9})
    assert torch.equal(optimizer.param_groups[0]["params"][0], encoder.weight)
