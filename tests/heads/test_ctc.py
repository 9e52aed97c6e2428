from __future__ import annotations

import pytest
import torch

from speechxfer.data.text import CTCVocabulary, TextNormalizer
from speechxfer.errors import ConfigError
from speechxfer.heads.ctc import CTCHead


def head() -> CTCHead:
    torch.manual_seed(0)
    return CTCHead(8, 50.0, CTCVocabulary("abc"), TextNormalizer("basic"))


def test_the_loss_is_a_sum_that_padding_and_order_do_not_change() -> None:
    ctc, hidden = head(), torch.randn(2, 12, 8)
    lengths, targets = torch.tensor([12, 7]), [[1, 2, 3], [2, 2]]
    together = ctc.loss(hidden, lengths, targets)
    apart = [ctc.loss(hidden[i : i + 1, : lengths[i]], lengths[i : i + 1], targets[i : i + 1]) for i in range(2)]
    assert together.item() == pytest.approx(sum(loss.item() for loss in apart), rel=1e-5)


def test_too_few_frames_add_nothing_and_no_infinity() -> None:
    ctc, hidden = head(), torch.randn(2, 4, 8, requires_grad=True)
    loss = ctc.loss(hidden, torch.tensor([4, 4]), [[1, 2], [1, 1, 1, 1]])
    loss.backward()
    assert loss.item() == pytest.approx(ctc.loss(hidden[:1], torch.tensor([4]), [[1, 2]]).item(), rel=1e-5)
    assert hidden.grad is not None
    assert torch.isfinite(hidden.grad).all()
    assert (hidden.grad[1] == 0).all()


def test_frames_beyond_the_end_are_not_read() -> None:
    ctc, hidden = head(), torch.randn(1, 20, 8)
    longer = torch.cat([hidden, torch.randn(1, 9, 8)], dim=1)
    assert ctc.decode(longer, torch.tensor([20])) == ctc.decode(hidden, torch.tensor([20]))


def test_a_language_has_no_meaning_here() -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        head().decode(torch.randn(1, 3, 8), torch.tensor([3]), language="it")
