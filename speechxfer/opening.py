"""From checkpoints to encoders and heads: those of `transformers`, of other tools, and of `SpeechModel.save`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from speechxfer.data.text import CTCVocabulary, TextNormalizer
from speechxfer.encoders import load_encoder, restore_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import ADAPTER_FILE, MODEL_FILE, Checkpoint
from speechxfer.encoders.family import family_of
from speechxfer.encoders.files import read_json
from speechxfer.encoders.weights import read_weights
from speechxfer.errors import CheckpointError
from speechxfer.heads.base import Head
from speechxfer.heads.classification.head import ClassificationHead
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.hf_format import folder_of, options_of, read_head
from speechxfer.registry import resolve

#: 1 had names of weights that no other tool knows.
FORMAT = 2


@dataclass(frozen=True)
class Opened:
    """What a checkpoint holds, on the CPU."""

    encoder: Encoder
    #: None where it is an encoder only.
    head: Head | None
    #: Where the pre-trained weights came from first.
    source: str
    #: Why a head that is there cannot be opened.
    problem: str | None = None
    #: Whether the checkpoint has a decoder of its own, opened or not.
    has_decoder: bool = False


def open_checkpoint(checkpoint: Checkpoint, *, with_decoder: bool = False, **options: Any) -> Opened:
    """The encoder of a checkpoint and the head on it, if there is one that can be opened.

    Args:
        with_decoder: open the decoder that the family has of its own; unless options say otherwise, with what that was
            trained on.
        options: of the encoder; those that are false count as not set.

    Raises:
        CheckpointError: damaged, or of a kind that is not known.
        ConfigError: an option is set that the encoder does not have.
    """
    if checkpoint.is_ours:
        return _open_saved(checkpoint, options)
    config, state = checkpoint.read()
    family = family_of(checkpoint.name, config)
    own = family.decoder if family.decoder and any(name.startswith(family.decoder.prefix) for name in state) else None
    decodes = own is not None and with_decoder
    usual = {**own.options, **options} if own and decodes else {**options, **options_of(family, state)}
    encoder = load_encoder(checkpoint.name, config, state, **usual)
    opens = resolve(own.opens) if own and decodes else read_head
    head, problem = None, None
    try:
        head = opens(checkpoint, config, state, encoder)
    except CheckpointError as error:
        problem = str(error)
    return Opened(encoder, head, checkpoint.name, problem, own is not None)


def _open_saved(checkpoint: Checkpoint, options: Mapping[str, Any]) -> Opened:
    description = read_json(checkpoint.folder / MODEL_FILE)
    if description.get("format") != FORMAT:
        raise CheckpointError(
            f"{checkpoint.folder / MODEL_FILE}: format {description.get('format')!r}, but this version reads "
            f"format {FORMAT}; upgrade speechxfer or train again"
        )
    if checkpoint.has_adapter:
        raise CheckpointError(f"{checkpoint.folder}: holds an adapter of PEFT ({ADAPTER_FILE}) beside an adapted model; move it to a folder of its own that names this one (base_model_name_or_path)")  # fmt: skip  # noqa: E501
    described = description["encoder"]
    wanted = {name: value for name, value in options.items() if value}
    encoder = restore_encoder({**described, "options": {**described["options"], **wanted}})
    head = restore_head(description["head"], encoder, checkpoint)
    state, theirs = read_weights(checkpoint.folder), folder_of(restore_encoder(described), head)
    try:
        nn.ModuleDict({"encoder": encoder, "head": head}).load_state_dict(theirs.ours(state) if theirs else state)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise CheckpointError(f"{checkpoint.folder}: weights do not fit {MODEL_FILE}: {detail:.300}") from error
    return Opened(encoder, head, description["source"])


def restore_head(description: dict[str, Any], encoder: Encoder, checkpoint: Checkpoint) -> Head:
    """Build the head that `Head.describe` described, with random weights; its folder holds what else it needs.

    Raises:
        CheckpointError: of a kind or normalizer version that this version does not have.
    """
    kind = description.get("kind")
    if kind == "classification":
        return ClassificationHead.restore(description, encoder.width, encoder.num_states)
    if kind not in ("ctc", "seq2seq"):
        raise CheckpointError(f"a head of kind {kind!r} is unknown to this version (known: classification, ctc, seq2seq)")  # fmt: skip  # noqa: E501
    if kind == "seq2seq":
        from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead

        return WhisperSeq2SeqHead.restore(description, encoder.describe()["config"], checkpoint)
    normalizer = TextNormalizer.restore(description["normalizer"])
    vocabulary = CTCVocabulary(cast(list[str], description["vocabulary"]["symbols"]))
    return CTCHead(encoder.width, encoder.output_frame_rate, vocabulary, normalizer, states=encoder.num_states)
