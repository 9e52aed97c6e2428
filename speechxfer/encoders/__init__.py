"""Pre-trained encoders behind one contract (`base.Encoder`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from speechxfer.config.families import FAMILIES, Family, family_of, setting_of
from speechxfer.encoders.without_torchaudio import ignore_broken_torchaudio
from speechxfer.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from speechxfer.encoders.base import Encoder


def restore_encoder(description: dict[str, Any], **options: Any) -> Encoder:
    """Build the encoder that `Encoder.describe` described, with random weights.

    Args:
        description: what `describe` returned.
        options: of the encoder, in place of those described; one that is false, zero or empty counts as not set.

    Raises:
        CheckpointError: the family is not known to this version.
        ConfigError: an option is set that the family does not have.
    """
    name = description["family"]
    if name not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise CheckpointError(f"an encoder of family {name!r} is not known to this version (known: {known})")
    chosen = {**description["options"], **_set(options, name, FAMILIES[name])}
    encoder = _built(FAMILIES[name], description["config"], chosen)
    if pooling := description.get("pooling"):
        encoder.set_pooling(**pooling)
    encoder.set_stacked(description.get("stacked", False))
    return encoder


def load_encoder(name: str, config: dict[str, Any], state: dict[str, Tensor], **options: Any) -> Encoder:
    """Build the encoder of a checkpoint as `transformers` stores it.

    An option that is false, zero or empty counts as not set, so that all may be passed to every family.

    Raises:
        CheckpointError: another architecture, or weights that do not fit the configuration.
        ConfigError: an option is set that the family does not have.
    """
    known = family_of(name, config)
    family = _class_of(known)
    if known.parts and not any(weight.startswith(f"{known.prefix}{known.parts[0]}") for weight in state):
        raise CheckpointError(f"{name}: has no encoder among its weights ({', '.join(sorted(state)[:3])} …); wanted a whole {family.family} model")  # fmt: skip  # noqa: E501
    chosen = _set(options, family.family, known)
    try:
        encoder = _built(known, config, chosen)
    except CheckpointError:
        raise
    except Exception as error:  # whatever wrong values lead to in `transformers`
        detail = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"{name}: its config.json describes no {family.family} encoder ({detail:.200})") from error  # fmt: skip  # noqa: E501
    try:
        encoder.load_source(state)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise CheckpointError(f"{name}: the weights do not fit the configuration: {detail:.300}") from error
    return encoder


def _set(options: Mapping[str, Any], name: str, family: Family) -> dict[str, Any]:
    """The options that are set, which the family has."""
    chosen = {option: value for option, value in options.items() if value}
    for option in chosen:
        if option not in family.options:
            raise ConfigError(f"{setting_of(option)} is set, but a {name} encoder has no such option; leave it out")
    return chosen


def _class_of(family: Family) -> type[Encoder]:
    ignore_broken_torchaudio()
    found: type[Encoder] = family.load()
    return found


def _built(family: Family, config: Mapping[str, Any], options: Mapping[str, Any]) -> Encoder:
    """With random weights, on torch's default device, to which `transformers` does not hold for every one of them."""
    import torch

    return _class_of(family).build(config, options).to(torch.get_default_device())
