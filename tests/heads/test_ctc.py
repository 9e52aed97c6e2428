from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import ConfigError
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.heads.ctc.loss import ctc_loss
from speechxfer.opening import restore_head


def head() -> CTCHead:
    torch.manual_seed(0)
    return CTCHead(8, 50.0, Characters("abc"), TextNormalizer("basic"))


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
    options = DecodingOptions()
    assert ctc.decode(longer, torch.tensor([20]), options) == ctc.decode(hidden, torch.tensor([20]), options)


@pytest.mark.parametrize("option", [{"language": "it"}, {"task": "translate"}, {"prompt": ""}, {"temperature": 0}])
def test_an_option_that_it_lacks_is_an_error(option: dict[str, Any]) -> None:
    expected = (
        rf"^{next(iter(option))} is .*, but a ctc head has no such option; leave it out .*hotwords, word_times\)$"
    )
    with pytest.raises(ConfigError, match=expected):
        head().decode(torch.randn(1, 3, 8), torch.tensor([3]), DecodingOptions(**option))


def test_word_times_can_be_left_out() -> None:
    ctc, hidden = head(), torch.randn(1, 20, 8, generator=torch.Generator().manual_seed(0))
    found = {
        wanted: ctc.decode(hidden, torch.tensor([20]), DecodingOptions(word_times=wanted))[0]
        for wanted in (None, True, False)
    }
    assert found[None] == found[True]
    assert found[None].words
    assert found[False] == replace(found[True], words=())


UTTERANCES = st.lists(
    st.tuples(st.integers(0, 40), st.lists(st.integers(1, 5), max_size=30)), min_size=1, max_size=4
)  # frames, labels


@given(UTTERANCES, st.integers(0, 1000), st.sampled_from([1.0, 10.0, 100.0]), st.sampled_from([0.0, 60.0]))
def test_the_loss_and_its_gradient_are_torchs(
    utterances: list[tuple[int, list[int]]], seed: int, scale: float, blank: float
) -> None:
    """Too few frames, no text, certainty beyond float32, all but blank excluded: as the reference in float64."""
    generator = torch.Generator().manual_seed(seed)
    num_frames = torch.tensor([max(1, frames) for frames, _ in utterances])
    targets = [labels for _, labels in utterances]
    logits = torch.randn(len(targets), int(num_frames.max()), 6, generator=generator) * scale
    logits[..., 0] += blank
    ours, reference = logits.clone().requires_grad_(), logits.double().requires_grad_()
    loss = ctc_loss(ours, num_frames, targets)
    expected = torch.nn.functional.ctc_loss(
        reference.log_softmax(-1).transpose(0, 1),
        torch.tensor([label for labels in targets for label in labels], dtype=torch.int64),
        num_frames,
        torch.tensor([len(labels) for labels in targets]),
        reduction="sum",
        zero_infinity=True,
    )
    torch.autograd.backward([3 * loss, 3 * expected])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-5)
    assert ours.grad is not None
    assert reference.grad is not None
    assert torch.allclose(ours.grad.double(), reference.grad, atol=1e-5)


@pytest.mark.parametrize("scale", [1e3, 1e6, 1e30])
def test_a_model_gone_astray_still_has_a_loss(scale: float) -> None:
    """Beyond float64 the loss is understated, but it is large, and its gradient a number."""
    torch.manual_seed(1)
    logits = (torch.randn(2, 60, 20) * scale).requires_grad_()
    loss = ctc_loss(logits, torch.tensor([60, 33]), [[1, 2, 2, 3] * 5, [4] * 15])
    torch.autograd.backward(loss)
    assert 1e4 < loss.item() < 1e6
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_a_saved_head_keeps_the_version_of_its_normalizer() -> None:
    saved = CTCHead(4, 50.0, Characters.from_texts(["soft ware"]), TextNormalizer("basic", 1))
    encoder = SimpleNamespace(width=4, output_frame_rate=50.0, num_states=1)
    opened = restore_head(saved.describe(), cast(Any, encoder), Checkpoint("", Path()))
    assert isinstance(opened, CTCHead)
    assert opened.normalizer("soft\u00adware") == "soft ware"
    assert opened.describe() == saved.describe()


@given(targets=st.lists(st.integers(1, 3), max_size=8), frames=st.integers(0, 12))
def test_an_utterance_is_learnable_where_it_adds_to_the_loss(targets: list[int], frames: int) -> None:
    ctc = head()
    loss = ctc.loss(torch.randn(1, 12, 8), torch.tensor([frames]), [targets])
    assert ctc.learnable(targets, frames) == (loss.item() != 0.0)


def test_that_nothing_is_said_is_one_thing_to_learn() -> None:
    assert [head().num_labels(targets) for targets in ([], [1], [1, 2, 2])] == [1, 1, 3]


def test_a_head_that_is_frozen_as_a_whole_stays_in_eval_mode() -> None:
    ctc = head()
    ctc.freeze(ctc.layer_groups())
    assert not ctc.train().training
    assert not any(parameter.requires_grad for parameter in ctc.parameters())
    ctc.freeze([])
    assert ctc.train().training


def spelling() -> CTCHead:
    """A head whose hidden states are its logits: blank, space, a, b, c."""
    made = CTCHead(5, 50.0, Characters(list(" abc")), TextNormalizer("basic"))
    with torch.no_grad():
        made.projection.weight.copy_(torch.eye(5))
        made.projection.bias.zero_()
    return made.eval()


def sound(*frames: dict[int, float]) -> torch.Tensor:
    """Hidden states in which some symbols stand out."""
    states = torch.full((1, len(frames), 5), -6.0)
    for frame, symbols in enumerate(frames):
        for symbol, value in symbols.items():
            states[0, frame, symbol] = value
    return states


def written(states: torch.Tensor, **options: Any) -> str:
    return spelling().decode(states, torch.tensor([states.shape[1]]), DecodingOptions(**options))[0].text


def test_a_hotword_is_written_where_it_is_nearly_as_likely() -> None:
    states = sound({4: 3.0}, {0: 3.0}, {2: 3.0, 3: 2.0})
    assert written(states) == written(states, beams=8) == "ca"
    assert written(states, hotwords=["cb"]) == "cb"
    assert written(states, hotwords=[("cb", 0.5)]) == "ca"
    assert written(states, hotwords=["Cb!"]) == "cb"  # written as the normalizer writes it


@pytest.mark.parametrize("weight", [8.0, 100.0])
def test_no_weight_makes_a_model_recite_hotwords(weight: float) -> None:
    silence = sound(*[{0: 3.0}] * 30)
    assert written(silence, hotwords=[("abc", weight), ("b", weight)]) == ""
    spoken = sound({4: 3.0}, {0: 3.0}, {2: 3.0}, {0: 3.0}, {1: 3.0}, {3: 3.0}, {0: 3.0})
    assert written(spoken, hotwords=[("cab", weight), ("bc", weight), ("acca", weight)]) == "ca b"
