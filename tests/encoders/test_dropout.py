"""Dropout with 16 random bits for a value: how much it drops, what stays, and that it can be repeated."""

from __future__ import annotations

import contextlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from speechxfer.encoders.dropout import CheapDropout, with_same_dropout


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
def test_the_expected_value_stays_and_the_rest_is_dropped(p: float) -> None:
    torch.manual_seed(1)
    with CheapDropout():
        found = functional.dropout(torch.ones(400_000), p)
    assert (found == 0).float().mean().item() == pytest.approx(p, abs=0.004)
    assert found.max().item() == pytest.approx(1 / (1 - p), rel=1e-3)
    assert found.mean().item() == pytest.approx(1, abs=0.02)


@given(st.lists(st.integers(0, 5), max_size=3), st.integers(0, 2**31))
def test_any_shape_is_dropped_alike_with_the_same_seed(shape: list[int], seed: int) -> None:
    values, found = torch.ones(shape), []
    for _ in range(2):
        torch.manual_seed(seed)
        with CheapDropout():
            found.append(functional.dropout(values, 0.5))
    assert found[0].shape == values.shape
    assert torch.equal(*found)


def test_neighboring_values_are_dropped_independently() -> None:
    torch.manual_seed(1)
    with CheapDropout():
        kept = (functional.dropout(torch.ones(100_000, 4), 0.5) > 0).float()
    assert torch.corrcoef(kept.T).fill_diagonal_(0).abs().max() < 0.02


def test_nothing_is_dropped_where_dropout_would_not_and_everything_at_one() -> None:
    values = torch.ones(1000)
    with CheapDropout():
        assert functional.dropout(values, 0.5, training=False).equal(values)
        assert nn.Dropout(0.5).eval()(values).equal(values)
        assert functional.dropout(values, 0.0).equal(values)
        assert not functional.dropout(values, 1.0).any()
        with pytest.raises(ValueError, match="between 0 and 1"):
            functional.dropout(values, 1.5)


def test_in_place_and_as_a_module() -> None:
    torch.manual_seed(1)
    values = torch.ones(1000)
    with CheapDropout():
        assert nn.Dropout(0.5, inplace=True)(values) is values
    assert set(values.tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("own", [True, False])
def test_activations_that_are_computed_again_are_dropped_alike(own: bool) -> None:
    values = torch.ones(1000, requires_grad=True)
    torch.manual_seed(1)
    usual = functional.dropout(torch.ones(1000))
    torch.manual_seed(1)
    with CheapDropout() if own else contextlib.nullcontext():
        found = checkpoint(with_same_dropout(lambda x: functional.dropout(x * x) ** 2), values, use_reentrant=False)
        torch.autograd.backward(found.sum())
    assert values.grad is not None
    assert torch.equal(values.grad, 4 * found.detach())
    assert torch.equal(found, usual**2) is not own
