"""Count parameters and operations of published models from their configurations; no weights are needed.

python -m scripts.count_models [NAME ...]

Rewrites speechxfer/families/model_sizes.json. Operations are the multiply-accumulates of matrix products, convolutions
and attention, as torch counts them (torch.utils.flop_counter); those of norms and activations are not among them.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from speechxfer.config.families import FAMILIES
from speechxfer.encoders import restore_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.outline import outline
from speechxfer.families.published import SIZES, PublishedModel, Size, published_models
from speechxfer.storage import write_json

_SECONDS = 10


def count(model: PublishedModel) -> Size:
    """Everything that is counted of a model."""
    with torch.device("meta"):
        encoder = FAMILIES[model.family].load().build(model.config, {})
    size = Size(
        parameters=_parameters([outline(model.config["architectures"][0], model.config)]),
        encoder_parameters=_parameters(module for group in encoder.layer_groups() for module in group.modules),
        gmacs_per_second=0.0,
        states_per_second=encoder.output_frame_rate,
        width=encoder.width,
        layers=encoder.depth,
    )
    return replace(size, gmacs_per_second=round(_operations(encoder) / _SECONDS / 1e9, 2))


def _parameters(modules: Iterable[nn.Module]) -> int:
    """Parameters of modules; one that several share counts once."""
    found = {id(parameter): parameter.numel() for module in modules for parameter in module.parameters()}
    return sum(found.values())


def _operations(encoder: Encoder) -> int:
    """Multiply-accumulates of one utterance; all layers are alike, so only two of them are computed."""
    others = encoder.depth - 2
    encoder.drop_top(others)
    small = restore_encoder(encoder.describe()).eval().requires_grad_(False)
    waveforms, lengths = torch.zeros(1, _SECONDS * small.sample_rate), torch.tensor([_SECONDS * small.sample_rate])
    with _counted() as whole:
        states, num_frames = small.frontend(waveforms, lengths)
        states = small.run(states, num_frames, 0, 1)
    with _counted() as layer:
        small.run(states, num_frames, 1, 2)
    return (whole.get_total_flops() + (others + 1) * layer.get_total_flops()) // 2


@contextlib.contextmanager
def _counted() -> Iterator[FlopCounterMode]:
    # Of the kernels for attention, this one consists of matrix products.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        yield counter


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
