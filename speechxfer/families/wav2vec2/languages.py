"""MMS (Pratap et al., 2023): one wav2vec 2.0 for a thousand languages, with adapters and a CTC head for each.

A file beside the weights holds what a language has of its own: `adapter.ita.safetensors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.encoders.weights import LANGUAGE_WEIGHTS, read_weights
from speechxfer.errors import CheckpointError

_HEAD = "lm_head."
_ADAPTER = ".adapter_layer."


def in_language(
    checkpoint: Checkpoint, config: Mapping[str, Any], state: Mapping[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The configuration and the weights with the adapters and the head of the language that was asked for.

    Raises:
        CheckpointError: the file of the language is missing or does not fit.
    """
    tag = checkpoint.language_tag or ""
    names = tuple(name.format(tag) for name in LANGUAGE_WEIGHTS)
    if not any((checkpoint.folder / name).is_file() for name in names):
        if checkpoint.settings("tokenizer_config.json").get("target_lang") == tag:
            return dict(config), dict(state)  # the weights of the model itself are those of this language
        raise CheckpointError(f"{checkpoint.folder}: lacks {names[0]}, the weights of the language {tag!r}; copy or download it beside config.json")  # fmt: skip  # noqa: E501
    own = read_weights(checkpoint.folder, names)
    wanted = {name: value.shape for name, value in state.items() if _ADAPTER in name}
    found = {name: value.shape for name, value in own.items() if not name.startswith(_HEAD)}
    if wrong := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
        seen, fits = found.get(wrong[0]), wanted.get(wrong[0])
        raise CheckpointError(f"{checkpoint.folder / names[0]}: does not fit the model: {wrong[0]} is {_shape(seen)}, wanted {_shape(fits)}; it is of another model")  # fmt: skip  # noqa: E501
    if not {f"{_HEAD}weight", f"{_HEAD}bias"} <= own.keys():
        raise CheckpointError(f"{checkpoint.folder / names[0]}: has adapters, but no CTC head (lm_head); copy or download it again")  # fmt: skip  # noqa: E501
    return {**config, "vocab_size": len(own[f"{_HEAD}weight"])}, {**state, **own}


def _shape(shape: Any) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape))
