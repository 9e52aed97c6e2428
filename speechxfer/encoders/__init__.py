"""Pre-trained encoders behind one contract (`base.Encoder`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speechxfer.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

    from speechxfer.encoders.base import Encoder


def restore_encoder(description: dict[str, Any]) -> Encoder:
    """Build the encoder that `Encoder.describe` described, with random weights.

    Raises:
        CheckpointError: the family is not known to this version.
    """
    family = description["family"]
    if family != "whisper":
        raise CheckpointError(f"an encoder of family {family!r} is not known to this version (known: whisper)")
    from transformers import WhisperConfig

    from speechxfer.encoders.whisper import WhisperEncoder

    encoder = WhisperEncoder(WhisperConfig(**description["config"]), **description["options"])
    if pooling := description.get("pooling"):
        encoder.set_pooling(**pooling)
    return encoder


def load_encoder(name: str, config: dict[str, Any], state: dict[str, Tensor], **options: Any) -> Encoder:
    """Build the encoder of a checkpoint as `transformers` stores it.

    Raises:
        CheckpointError: another architecture, or weights that do not fit the configuration.
    """
    model_type = config.get("model_type")
    if model_type != "whisper":
        raise CheckpointError(f"{name}: is a {model_type!r} model; wanted one of: whisper")
    from speechxfer.encoders.whisper import WhisperEncoder

    encoder = restore_encoder({"family": model_type, "config": config, "options": options})
    assert isinstance(encoder, WhisperEncoder)
    try:
        encoder.load_source(state)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise CheckpointError(f"{name}: the weights do not fit the configuration: {detail:.300}") from error
    return encoder
