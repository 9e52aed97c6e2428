"""Plans fitted to models: what is frozen when, at what rate, and plans that make no sense."""

from __future__ import annotations

from typing import Any

import pytest

import speechxfer as sx
from speechxfer.config import PlanConfig
from speechxfer.errors import ConfigError
from speechxfer.families.whisper.encoder import WhisperEncoder
from speechxfer.model import SpeechModel
from speechxfer.transfer.plan import COLUMNS, TransferPlan
from speechxfer.transfer.reshape import reshape
from tests.transfer.conftest import Encoders, ctc_head, model_of


@pytest.fixture
def model(encoders: Encoders) -> SpeechModel:
    """Of three layers."""
    encoder = encoders("wav2vec2")
    return model_of(encoder, ctc_head(encoder))


def plan_of(model: SpeechModel, **settings: Any) -> TransferPlan:
    return TransferPlan.for_model(PlanConfig(**settings), model.encoder, model.head, epochs=12)


def frozen_in(plan: TransferPlan, model: SpeechModel, epoch: int) -> set[str]:
    plan.apply(model, epoch)
    groups = [*model.encoder.layer_groups(), *model.head.layer_groups()]
    return {group.name for group in groups if not any(parameter.requires_grad for parameter in group.parameters())}


def test_each_layer_s_rate_is_a_share_of_that_above(model: SpeechModel) -> None:
    plan = plan_of(model, layer_decay=0.5, encoder_lr=1e-3, head_lr=1e-2, freeze_frontend=False)
    rates = {row["part"]: row["rate"] for row in plan.table(model.encoder, model.head)}
    assert rates == {
        "convolutions": pytest.approx(1e-3 / 8), "projection": pytest.approx(1e-3 / 4),
        "layer 0": pytest.approx(1e-3 / 4), "layer 1": pytest.approx(1e-3 / 2), "layer 2": 1e-3, "ctc head": 1e-2,
    }  # fmt: skip


def test_the_optimizer_gets_every_trained_parameter_once_at_its_rate(model: SpeechModel) -> None:
    plan = plan_of(model, layer_decay=0.5, encoder_lr=1e-3, head_lr=1e-2, freeze_below=1)
    groups = plan.parameter_groups(model, weight_decay=0.1)
    given = {id(parameter): group for group in groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(given)
    assert set(given) == {id(parameter) for parameter in plan.trained(model).values()}
    layer = model.encoder.layer_groups()[3].modules[0]
    for name, parameter in layer.named_parameters():
        group = given[id(parameter)]
        assert group["lr"] == pytest.approx(1e-3 / 2)
        assert group["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0), name
    assert given[id(model.head.projection.weight)]["lr"] == 1e-2


def test_the_optimizer_knows_when_each_parameter_is_first_trained(model: SpeechModel) -> None:
    plan = plan_of(model, freeze_below=1, unfreeze_every=2)
    given = {id(one): group["first_epoch"] for group in plan.parameter_groups(model, 0.1) for one in group["params"]}
    _, _, first, middle, last = model.encoder.layer_groups()
    assert {given[id(one)] for one in last.parameters()} == {2}
    assert {given[id(one)] for one in middle.parameters()} == {4}
    assert not {id(one) for one in first.parameters()} & given.keys()
    assert given[id(model.head.projection.weight)] == 0


def test_the_convolutions_have_a_switch_of_their_own(model: SpeechModel) -> None:
    plan = plan_of(model, train_top=1, freeze_frontend=False)
    assert frozen_in(plan, model, 0) == {"projection", "layer 0", "layer 1"}
    assert plan.seam is None, "what is trained at the bottom leaves nothing to be computed once"


def test_layers_are_unfrozen_when_they_are_named_and_others_at_once(model: SpeechModel) -> None:
    plan = plan_of(model, unfreeze_at="1@2, 0@3, frontend@4", freeze_frontend=False)
    frozen = [{"convolutions", "projection", "layer 0", "layer 1"}, {"convolutions", "projection", "layer 0"}]
    frozen += [{"convolutions"}, set(), set()]
    assert [frozen_in(plan, model, epoch) for epoch in range(5)] == frozen
    assert [plan.seam_at(epoch) for epoch in range(5)] == [2, 1, 0, None, None]
    assert plan.lowest_seam == 0
    assert [row["first_epoch"] for row in plan.table(model.encoder, model.head)] == [4, 3, 3, 2, 1, 1]


def test_a_new_head_learns_alone_first(model: SpeechModel) -> None:
    def seams(epochs: int, **other: Any) -> list[int | None]:
        config = PlanConfig(freeze_below=1, head_only_ratio=0.25)
        plan = TransferPlan.for_model(config, model.encoder, model.head, epochs=epochs, **other)
        return [plan.seam_at(epoch) for epoch in range(epochs)]

    assert seams(8) == [3, 3, 1, 1, 1, 1, 1, 1]
    assert seams(2) == [3, 1], "for one epoch at least"
    assert seams(1) == [1], "but never for all of them"
    assert seams(8, new_head=False) == [1] * 8


@pytest.mark.parametrize(
    ("settings", "epochs"),
    [
        ({}, {1, 3}),
        ({"preset": "fine-tune"}, {1, 3}),
        ({"preset": "lora"}, {1, 3}),
        ({"head_only_ratio": 0.0}, {1}),
        ({"unfreeze_at": "1@5"}, {1, 5}),
        ({"freeze_below": 1}, {1}),
        ({"from_scratch": True}, {1}),
    ],
)
def test_it_does_so_by_itself_where_all_layers_of_a_whisper_are_trained(
    model: SpeechModel, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], epochs: set[int]
) -> None:
    monkeypatch.setattr(model.encoder, "head_only_ratio", WhisperEncoder.head_only_ratio)
    plan = plan_of(model, **settings)  # of 12 epochs
    plan.attach(model.encoder, model.head)
    assert {row["first_epoch"] for row in plan.table(model.encoder, model.head)} - {None} == epochs


def test_but_not_where_a_family_gains_nothing_by_it(model: SpeechModel) -> None:
    assert {row["first_epoch"] for row in plan_of(model).table(model.encoder, model.head)} == {None, 1}


def test_gradual_unfreezing_is_a_schedule_from_the_top(model: SpeechModel) -> None:
    plan = plan_of(model, freeze_below=1, unfreeze_every=2)
    assert plan == plan_of(model, freeze_below=1, unfreeze_at="2@3, 1@5")
    assert [plan.seam_at(epoch) for epoch in range(6)] == [3, 3, 2, 2, 1, 1]


def test_a_layer_may_sleep_between_others(model: SpeechModel) -> None:
    plan = plan_of(model, unfreeze_at="1@3")
    assert frozen_in(plan, model, 0) == {"convolutions", "layer 1"}
    assert plan.seam_at(0) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_top": 4}, "plan.train_top is 4, but the encoder has 3 layers"),
        ({"freeze_below": 4}, "plan.freeze_below is 4, but the encoder has 3 layers"),
        ({"train_top": 0, "head_top": 0}, "nothing is trained, neither the encoder nor the head"),
        ({"unfreeze_at": "2@2, 0-2@3"}, "'0-2@3' unfreezes layer 2 a second time (first in epoch 2); name it once"),
        ({"unfreeze_at": "3@2"}, "names a layer that does not exist; the encoder has layers 0 to 2"),
        ({"unfreeze_at": "2-1@2"}, "names a layer that does not exist"),
        ({"unfreeze_at": "2@0"}, "plan.unfreeze_at: '2@0'; wanted LAYER@EPOCH"),
        ({"unfreeze_at": "two@2"}, "plan.unfreeze_at: 'two@2'; wanted LAYER@EPOCH"),
        ({"unfreeze_at": "0@2", "train_top": 1}, "but layer 0 is always frozen"),
        ({"unfreeze_at": "frontend@2"}, "but the front end is always frozen"),
        ({"unfreeze_at": "1@2", "unfreeze_every": 1}, "plan.unfreeze_at and plan.unfreeze_every are two schedules"),
        ({"head_only_ratio": 0.5, "unfreeze_at": "1@2"}, "plan.unfreeze_at and plan.head_only_ratio are two schedules"),
        ({"reinit_top": 2, "train_top": 1}, "layer 1 is frozen and would stay random"),
        ({"reinit_top": 4}, "plan.reinit_top is 4, but the encoder has 3 layers"),
        ({"lora_rank": 2, "train_top": 0}, "no layer is trained that could be adapted"),
        ({"lora_rank": 2, "reinit_top": 1}, "those random weights would not be trained"),
        ({"lora_rank": 2, "freeze_frontend": False}, "plan.freeze_frontend is false, but with adapters"),
    ],
)
def test_a_plan_that_makes_no_sense_is_reported(model: SpeechModel, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_of(model, **settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"drop_top": 3}, "plan.drop_top is 3, but the encoder has 3 layers; wanted at most 2, so that one is left"),
        ({"reinit_top": 3, "drop_top": 1}, "plan.reinit_top is 3, but the encoder has 2 layers"),
        ({"from_scratch": True, "train_top": 1}, "which excludes plan.train_top (1)"),
        ({"from_scratch": True, "train_top": 0}, "which excludes plan.train_top (0)"),
        ({"from_scratch": True, "head_top": 0}, "which excludes plan.head_top (0)"),
        ({"from_scratch": True, "train_embedding": False}, "which excludes plan.train_embedding (False)"),
        ({"from_scratch": True, "lora_rank": 4}, "which excludes plan.lora_rank (4)"),
        ({"from_scratch": True, "freeze_frontend": True}, "which excludes plan.freeze_frontend (True)"),
    ],
)
def test_a_shape_that_makes_no_sense_is_reported(model: SpeechModel, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        reshape(PlanConfig(**settings), model.encoder)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer_decay": 0.0}, "plan.layer_decay is 0.0; wanted more than 0 and at most 1"),
        ({"lora_alpha": 0}, "plan.lora_alpha is 0"),
        ({"drop_top": -1}, "plan.drop_top is -1; wanted at least 0"),
    ],
)
def test_a_value_out_of_range_is_reported(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PlanConfig(**settings)
    assert message in str(caught.value)


def test_the_decoder_s_layers_can_be_told_apart_from_the_encoder_s(spelling_whisper: Any) -> None:
    model = sx.load(str(spelling_whisper), device="cpu")
    plan = plan_of(model, train_top=1)
    states = {row["part"]: row["state"] for row in plan.table(model.encoder, model.head)}
    assert states == {
        "convolutions": "frozen", "layer 0": "frozen", "layer 1": "trained", "token embedding": "frozen",
        "decoder layer 0": "trained",
    }  # fmt: skip
    assert all(len(row) == len(COLUMNS) for row in plan.rows(model.encoder, model.head))
