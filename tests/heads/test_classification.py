from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F

from speechxfer.data.labels import ClassLabels
from speechxfer.data.manifest import Utterance
from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import ConfigError, DataError
from speechxfer.heads.classification.head import ClassificationHead

LABELS = ClassLabels(["a", "b", "c"])
POOLINGS = ["mean", "mean-deviation", "attentive"]


def head(**options: Any) -> ClassificationHead:
    torch.manual_seed(0)
    return ClassificationHead(8, LABELS, projection=6, **options)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_neighbors_and_padding_change_nothing(pooling: str) -> None:
    classifier, lengths = head(pooling=pooling), torch.tensor([12, 7, 1])
    hidden = torch.randn(3, 20, 8)
    hidden[1, 7:] = torch.nan  # what stands in padded positions is undefined
    hidden[2, 1:] = torch.inf
    together = classifier(hidden, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = classifier(hidden[row : row + 1, :length], lengths[row : row + 1])
        assert torch.allclose(together[row], alone[0], atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradients_are_finite_whatever_is_padded_and_however_short(pooling: str) -> None:
    classifier, hidden = head(pooling=pooling), torch.randn(3, 5, 8)
    hidden[1, 1:] = torch.nan
    hidden[2] = torch.nan
    hidden.requires_grad_()
    classifier.loss(hidden, torch.tensor([5, 1, 0]), [[0], [1], [2]]).backward()
    assert hidden.grad is not None
    assert hidden.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in classifier.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("size", [0, 4])
def test_an_utterance_without_frames_has_what_is_known_without_it(pooling: str, size: int) -> None:
    classifier = head(pooling=pooling)
    (found,) = classifier.decode(torch.randn(1, size, 8), torch.tensor([0]), DecodingOptions())
    assert sum(found.probabilities) == pytest.approx(1.0)


def test_the_mean_is_that_of_projected_frames() -> None:
    classifier, hidden = head(), torch.randn(1, 9, 8)
    expected = classifier.classifier(classifier.projector(hidden).mean(dim=1))
    assert torch.allclose(classifier(hidden, torch.tensor([9])), expected, atol=1e-6)


def test_the_deviation_tells_apart_what_has_the_same_mean() -> None:
    still, moving = torch.zeros(1, 10, 8), torch.ones(1, 10, 8)
    moving[:, ::2] = -1.0
    lengths = torch.tensor([10])
    assert torch.allclose(head()(still, lengths), head()(moving, lengths), atol=1e-6)
    classifier = head(pooling="mean-deviation")
    assert not torch.allclose(classifier(still, lengths), classifier(moving, lengths), atol=1e-2)


def test_attention_may_choose_a_single_frame() -> None:
    classifier, hidden = head(pooling="attentive"), torch.zeros(1, 10, 8)
    hidden[0, 3, 0] = 1.0
    with torch.no_grad():
        for parameter in classifier.attention.parameters():
            parameter.zero_()
        classifier.attention[0].weight.copy_(1e3 * torch.eye(6))
        classifier.attention[2].weight.copy_(1e3 * torch.sign(classifier.projector.weight[:, 0])[None])
        classifier.projector.bias.zero_()
    expected = classifier.classifier(classifier.projector(hidden[:, 3]))
    assert torch.allclose(classifier(hidden, torch.tensor([10])), expected, atol=1e-5)


def test_padding_counts_where_the_encoder_heard_it() -> None:
    hidden = torch.randn(1, 10, 8)
    whole = head()(hidden, torch.tensor([10]))
    assert torch.equal(head(pool_padding=True)(hidden, torch.tensor([4])), whole)
    assert not torch.allclose(head()(hidden, torch.tensor([4])), whole)


def test_the_loss_is_a_sum_and_weighs_classes() -> None:
    hidden, lengths, targets = torch.randn(3, 5, 8), torch.tensor([5, 2, 4]), [[0], [2], [2]]
    logits = head()(hidden, lengths)
    apart = F.cross_entropy(logits, torch.tensor([0, 2, 2]), reduction="none")
    assert head().loss(hidden, lengths, targets).item() == pytest.approx(apart.sum().item(), rel=1e-5)
    weighted = head(class_weights=[2.0, 0.5, 0.5]).loss(hidden, lengths, targets)
    assert weighted.item() == pytest.approx((apart * torch.tensor([2.0, 0.5, 0.5])).sum().item(), rel=1e-5)


@pytest.mark.parametrize("multi_label", [False, True])
def test_smoothing_charges_certainty(multi_label: bool) -> None:
    certain = torch.zeros(1, 1, 8)
    losses = []
    for smoothing in (0.0, 0.1):
        classifier = head(multi_label=multi_label, label_smoothing=smoothing)
        with torch.no_grad():
            classifier.projector.bias.zero_()
            classifier.classifier.bias.copy_(torch.tensor([20.0, -20.0, -20.0]))
        losses.append(classifier.loss(certain, torch.tensor([1]), [[0]]).item())
    assert losses[0] == pytest.approx(0.0, abs=1e-6)
    assert losses[1] > 1.0


def test_several_classes_each_have_a_probability_of_their_own() -> None:
    classifier = head(multi_label=True)
    with torch.no_grad():
        classifier.projector.bias.zero_()
        classifier.classifier.bias.copy_(torch.tensor([5.0, 5.0, -5.0]))
    (found,) = classifier.decode(torch.zeros(1, 1, 8), torch.tensor([1]), DecodingOptions())
    assert found.chosen == ("a", "b")
    assert found.label == "a|b"
    assert sum(found.probabilities) > 1.9
    logits = torch.tensor([[5.0, 5.0, -5.0]])
    expected = F.binary_cross_entropy_with_logits(logits, torch.tensor([[1.0, 0.0, 0.0]]), reduction="sum")
    assert classifier.loss(torch.zeros(1, 1, 8), torch.tensor([1]), [[0]]).item() == pytest.approx(expected.item())
    none = classifier.loss(torch.zeros(1, 1, 8), torch.tensor([1]), [[]])
    assert none.item() == pytest.approx(
        F.binary_cross_entropy_with_logits(logits, torch.zeros(1, 3), reduction="sum").item()
    )


@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_it_describes_is_built_again(pooling: str) -> None:
    options = {"label_smoothing": 0.1, "class_weights": [0.5, 1.0, 1.5], "pool_padding": True, "multi_label": True}
    classifier = head(pooling=pooling, **options)
    again = ClassificationHead.restore(
        json.loads(json.dumps(classifier.describe())),
        cast(Any, SimpleNamespace(width=8, num_states=1)),
        cast(Any, None),
    )
    again.load_state_dict(classifier.state_dict())
    assert again.describe() == classifier.describe()
    hidden, lengths = torch.randn(2, 4, 8), torch.tensor([4, 2])
    assert again.decode(hidden, lengths, DecodingOptions()) == classifier.decode(hidden, lengths, DecodingOptions())
    assert torch.equal(again.loss(hidden, lengths, [[0], [1, 2]]), classifier.loss(hidden, lengths, [[0], [1, 2]]))


def test_class_weights_are_no_weights_of_the_model() -> None:
    classifier = head(class_weights=[1.0, 1.0, 1.0])
    assert {name.partition(".")[0] for name in classifier.state_dict()} == {"projector", "classifier"}


def test_targets_are_numbers_and_unknown_ones_are_reported() -> None:
    utterance = Utterance(audio="a.wav", label="c", origin="train.jsonl:1")
    assert head().targets(utterance) == [2]
    with pytest.raises(DataError, match=r"train\.jsonl:2: label 'd' is not one"):
        head().targets(Utterance(audio="a.wav", label="d", origin="train.jsonl:2"))


def test_a_language_has_no_meaning_here() -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        head().decode(torch.randn(1, 3, 8), torch.tensor([3]), DecodingOptions(language="it"))
