"""Whether transfer helped: the same shape trained from random weights under the same budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from speechxfer.config import FinetuneConfig, PlanConfig
from speechxfer.evaluation.comparison import compare_systems
from speechxfer.evaluation.results import Evaluation
from speechxfer.runs import RunFolder
from speechxfer.transfer.presets import settled

_NAMES = ("from scratch", "transfer")
_SAYS = {
    "better": "Transfer helped",
    "worse": "Transfer was negative: the same shape without anything learned before does better",
    "same": "Transfer made no difference that this data shows",
    "unknown": "Too little data to tell whether transfer helped",
}


def scratch_config(config: FinetuneConfig, depth: int) -> FinetuneConfig:
    """The same run from random weights, inside the folder of the run that it is compared with.

    As many epochs, the same steps and the same chances; all of the model is trained, at the rates of that preset.

    Args:
        depth: layers of the checkpoint's encoder.
    """
    shape = settled(config.plan, depth)
    plan = PlanConfig(
        preset="from-scratch",
        drop_top=shape.drop_top,
        weighted_layer_sum=shape.weighted_layer_sum,
        train_embedding=True,
    )
    training = replace(config.training, trackers=[])
    return replace(
        config, output=str(RunFolder(config.output).scratch), plan=plan, training=training, retain=None,
        compare_scratch=False,
    )  # fmt: skip


def scratch_verdict(scratch: Evaluation, transfer: Evaluation) -> dict[str, Any]:
    """The verdict on transfer where both were measured on the same utterances, as plain values for JSON."""
    found = compare_systems(_NAMES, scratch, transfer)
    return {"verdict": f"{_SAYS[found.second_is]}: {found.verdict()}", "transfer_is": found.second_is}
