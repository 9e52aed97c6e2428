"""Adapters that PEFT left beside a model, merged into its weights.

The adapter is set into the model's own class of `transformers`, for it names its places by the modules there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from speechxfer import adapters
from speechxfer.config.families import Family, family_of
from speechxfer.encoders.files import read_json
from speechxfer.encoders.outline import outline
from speechxfer.encoders.weights import ADAPTER_WEIGHTS, read_weights
from speechxfer.encoders.without_torchaudio import ignore_broken_torchaudio
from speechxfer.errors import CheckpointError

_KINDS = ("ForCTC", "ForConditionalGeneration", "ForSequenceClassification", "ForAudioClassification", "ForAudioFrameClassification", "ForXVector", "ForPreTraining", "Model")  # fmt: skip  # noqa: E501
#: The setting that a weight's first size follows: heads are saved with the adapter, whatever the model below has.
_SIZES = {
    "lm_head.weight": "vocab_size", "proj_out.weight": "vocab_size", "model.decoder.embed_tokens.weight": "vocab_size",
    "ctc_head.weight": "vocab_size", "classifier.weight": "num_labels", "projector.weight": "classifier_proj_size",
}  # fmt: skip


def with_adapter(
    folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and state dict of a model, with the adapter that a folder holds merged into it.

    Raises:
        CheckpointError: the adapter is damaged, does not fit the model, or is of a kind that cannot be merged.
    """
    ignore_broken_torchaudio()
    family = family_of(str(folder), config)
    described = read_json(folder / "adapter_config.json")
    weights = {f"{'' if name.startswith('base_model.') else adapters.PREFIX}{name}": value for name, value in read_weights(folder, ADAPTER_WEIGHTS).items()}  # fmt: skip  # noqa: E501
    whole = {name.removeprefix(adapters.PREFIX): value for name, value in weights.items() if name.startswith(adapters.PREFIX)}  # fmt: skip  # noqa: E501
    architecture = _architecture(folder, family, _named_classes(described, config), whole)
    config = _resized(config, whole) | {"architectures": [architecture]}
    try:
        model, lacking = _built(architecture, family, config, state)
    except Exception as error:  # whatever wrong values lead to in `transformers`
        detail = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"{folder}: the config.json below its adapter describes no {architecture} ({detail:.200})") from error  # fmt: skip  # noqa: E501
    merged = adapters.merged(folder, model, described, weights)
    merged = {name: value for name, value in merged.items() if name not in lacking - whole.keys()}
    if any(not torch.equal(merged[name], merged[source]) for name, source in _tied(model).items() if name in merged):
        config |= {"tie_word_embeddings": False}
    found = family.named(merged)
    # A model without a head leaves the one alone that is there.
    return config, found if architecture != f"{family.stem}Model" else {**state, **found}


def _named_classes(described: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    mapped = (described.get("auto_mapping") or {}).get("base_model_class")
    return [*([mapped] if mapped else []), *(config.get("architectures") or [])]


def _architecture(folder: Path, family: Family, named: Iterable[str], weights: Iterable[str]) -> str:
    """The first class of the family that has the modules which the adapter's weights belong to."""
    known = [f"{family.stem}{kind}" for kind in _KINDS if hasattr(transformers, f"{family.stem}{kind}")]
    wanted = {name.partition(".")[0] for name in weights}
    for name in [*(name for name in named if name in known), *known]:
        if wanted <= _children(name):
            return name
    raise CheckpointError(f"{folder}: its adapter belongs to modules that no {family.stem} model has ({', '.join(sorted(wanted))[:80]})")  # fmt: skip  # noqa: E501


def _children(architecture: str) -> set[str]:
    return {name for name, _ in outline(architecture, {}).named_children()}


def _resized(config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The configuration with the sizes of what the adapter brings along whole."""
    resized = dict(config)
    for name, setting in _SIZES.items():
        if name in weights:
            resized[setting] = len(weights[name])
    if "num_labels" in resized and len(resized.get("id2label") or {}) != resized["num_labels"]:
        resized = {name: value for name, value in resized.items() if name not in ("id2label", "label2id")}
    return resized


def _built(
    architecture: str, family: Family, config: Mapping[str, Any], state: Mapping[str, Tensor]
) -> tuple[nn.Module, set[str]]:
    """A model of `transformers` with the weights, and the names of those that are missing or of another size.

    Weights that are tied there stand for themselves here, so that an adapter of one leaves the other alone.
    """
    model = outline(architecture, config)
    lacking, own = set(), {}
    for name, value in model.state_dict().items():
        names = (name, f"{family.prefix}{name}", _tied(model).get(name, name))
        given = next((state[key].clone() for key in names if key in state and state[key].shape == value.shape), None)
        if given is None:
            lacking.add(name)
        own[name] = torch.zeros(value.shape) if given is None else given
    model.load_state_dict(own, assign=True)
    return model, lacking


def _tied(model: nn.Module) -> dict[str, str]:
    """Weights that are others as well: their name -> the other's."""
    return getattr(model, "_tied_weights_keys", None) or {}
