"""Count parameters and operations of published models from their configurations; no weights are needed.

python -m scripts.count_models [NAME ...]

Rewrites speechxfer/families/model_sizes.json. Operations are the multiply-accumulates of matrix products, convolutions
and attention, as torch counts them (torch.utils.flop_counter); those of norms and activations are not among them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from speechxfer.encoders.base import Encoder
from speechxfer.encoders.family import FAMILIES
from speechxfer.encoders.outline import outline
from speechxfer.families.published import SIZES, PublishedModel, Size, published_models
from speechxfer.storage import write_json

_SECONDS = 10


def count(model: PublishedModel) -> Size:
    """Everything that is counted of a model."""
    with torch.device("meta"):
        encoder = FAMILIES[model.family].load().build(model.config, {}).eval()
    return Size(
        parameters=_parameters([outline(model.config["architectures"][0], model.config)]),
        encoder_parameters=_parameters(module for group in encoder.layer_groups() for module in group.modules),
        gmacs_per_second=round(_operations(encoder) / _SECONDS / 1e9, 2),
        states_per_second=encoder.output_frame_rate,
        width=encoder.width,
        layers=encoder.depth,
    )


def _parameters(modules: Iterable[nn.Module]) -> int:
    """Parameters of modules; one that several share counts once."""
    found = {id(parameter): parameter.numel() for module in modules for parameter in module.parameters()}
    return sum(found.values())


def _operations(encoder: Encoder) -> int:
    """Multiply-accumulates of one utterance."""
    size = _SECONDS * encoder.sample_rate
    # Lengths have values, which some encoders look at; nothing else has.
    lengths = torch.tensor([size])
    with torch.device("meta"), torch.inference_mode(), FlopCounterMode(display=False) as counter:
        encoder.to("meta")(torch.zeros(1, size), lengths)
    return int(counter.get_total_flops()) // 2


def main() -> None:
    """Count the models that are named, or all that open here, and keep the others as they are."""
    wanted = sys.argv[1:]
    sizes = json.loads(SIZES.read_text(encoding="utf-8"))
    for model in published_models():
        if model.is_available and (model.name in wanted or not wanted):
            sizes[model.name] = asdict(count(model))
            print(model.name, sizes[model.name], flush=True)
    write_json(SIZES, {model.name: sizes[model.name] for model in published_models() if model.name in sizes})


if __name__ == "__main__":
    main()
