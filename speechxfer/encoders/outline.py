"""Models of `transformers` as their configuration describes them: names and shapes of weights, and no numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from speechxfer.encoders.without_torchaudio import ignore_broken_torchaudio
from speechxfer.errors import CheckpointError


def weight_shapes(name: str, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The state dict on the device "meta" of the class that a `config.json` names; `name` is the model's in messages.

    Raises:
        CheckpointError: `transformers` has no such class, or the configuration does not describe one.
    """
    architecture = next(iter(config.get("architectures") or []), "")
    ignore_broken_torchaudio()
    if not hasattr(transformers, architecture):
        raise CheckpointError(f"{name}: its config.json names the class {architecture!r}, which transformers {transformers.__version__} does not have; wanted a model of transformers")  # fmt: skip  # noqa: E501
    try:
        return dict(outline(architecture, config).state_dict())
    except Exception as error:  # whatever wrong values lead to in `transformers`
        detail = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"{name}: its config.json describes no {architecture} ({detail:.200})") from error


def outline(architecture: str, config: Mapping[str, Any]) -> nn.Module:
    """The model on the device "meta", in eval mode."""
    kind = getattr(transformers, architecture)
    with torch.device("meta"), _quiet():
        model: nn.Module = kind(kind.config_class(**config))
    return model.to("meta").eval()  # some weights are made on the CPU even so


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what `transformers` says of a model that is not there to be used."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
