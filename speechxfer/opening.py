"""From checkpoints to encoders and heads: those of `transformers`, of other tools, and of `SpeechModel.save`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from speechxfer.config import HEADS
from speechxfer.config.families import FAMILIES, family_of
from speechxfer.decoding.calibration import Calibration
from speechxfer.encoders import load_encoder, restore_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import ADAPTER_FILE, MODEL_FILE, Checkpoint
from speechxfer.encoders.files import read_json
from speechxfer.encoders.weights import read_weights
from speechxfer.errors import CheckpointError, SpeechxferError
from speechxfer.heads.base import Head
from speechxfer.hf_format import folder_of, options_of, read_head
from speechxfer.records import converted

#: Stands for the head that a checkpoint has, whichever that is.
OWN = "own"
#: What a feature extractor's settings say about the spectrogram.
_SPECTROGRAM = (
    "feature_size", "num_mel_bins", "stride", "n_fft", "win_length", "hop_length", "preemphasis", "mel_filters_dtype",
)  # fmt: skip
#: 1 had names of weights that no other tool knows.
FORMAT = 2


@dataclass(frozen=True)
class Opened:
    """What a checkpoint holds, on torch's default device."""

    encoder: Encoder
    #: None where it is an encoder only.
    head: Head | None
    #: Where the pre-trained weights came from first.
    source: str
    #: Why a head that is there cannot be opened.
    problem: str | None = None
    #: The head that the checkpoint's own decoder is, opened or not, by its name in the register.
    own_decoder: str | None = None
    #: The tag of the language whose adapters and head it has, of a model of several languages.
    language: str = ""
    #: How confidences of the head are corrected, where that was measured.
    calibration: Calibration | None = None

    @property
    def transcribes(self) -> bool:
        """Whether the checkpoint writes text as it is."""
        return self.own_decoder is not None or (self.head is not None and self.head.task == "transcription")


@dataclass(frozen=True)
class _Saved:
    """What `SpeechModel.save` writes beside the weights."""

    source: str
    encoder: dict[str, Any]
    head: dict[str, Any]
    language: str = ""
    calibration: Calibration | None = None


def open_checkpoint(checkpoint: Checkpoint, *, head: str | None = None, **options: Any) -> Opened:
    """The encoder of a checkpoint and the head on it, if there is one that can be opened.

    On torch's device "meta" (`with torch.device("meta")`), no weights are read, and the parts have shapes only.

    Args:
        head: the head that is wanted, by its name in the register. The decoder that a family has of its own is only
            opened, which takes time, where it is that one, or with `OWN`; unless options say otherwise, the encoder
            then has the options that the decoder was trained with.
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
    decoder = own if own and head in (OWN, own.head) else None
    usual = {**decoder.options, **options} if decoder else {**options, **options_of(family, state)}
    encoder = load_encoder(checkpoint.name, config, state, **usual)
    _check_features(checkpoint, encoder)
    opens = decoder.load().read if decoder else read_head
    found, problem = None, None
    try:
        found = opens(checkpoint, config, state, encoder)
    except CheckpointError as error:
        problem = str(error)
    language = checkpoint.language_tag or ""
    return Opened(encoder, found, checkpoint.name, problem, own.head if own else None, language)


def _check_features(checkpoint: Checkpoint, encoder: Encoder) -> None:
    """Check that the checkpoint's files want the spectrogram that the encoder computes."""
    own = encoder.feature_extractor()
    for path, values in checkpoint.feature_extractors():
        for name in _SPECTROGRAM:
            if name in own and values.get(name, own[name]) != own[name]:
                raise CheckpointError(f"{path}: {name} is {values[name]}, but an encoder of this kind ({encoder.family}) with this config.json takes {own[name]}; one of the two files is of another model, or the model is of a variant that is not supported")  # fmt: skip  # noqa: E501


def _open_saved(checkpoint: Checkpoint, options: Mapping[str, Any]) -> Opened:
    description = read_json(path := checkpoint.folder / MODEL_FILE)
    if description.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: format {description.get('format')!r}, but this version reads "
            f"format {FORMAT}; upgrade speechxfer or train again"
        )
    if checkpoint.has_adapter:
        raise CheckpointError(f"{checkpoint.folder}: holds an adapter of PEFT ({ADAPTER_FILE}) beside an adapted model; move it to a folder of its own that names this one (base_model_name_or_path)")  # fmt: skip  # noqa: E501
    try:
        saved = converted(_Saved, description)
        encoder = restore_encoder(saved.encoder, **options)
        head = restore_head(saved.head, encoder, checkpoint)
        theirs = folder_of(restore_encoder(saved.encoder), head) if checkpoint.has_weights else None
    except SpeechxferError:
        raise
    except Exception as error:  # whatever wrong values lead to in `transformers`
        detail = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise CheckpointError(f"{path}: describes no model ({detail:.200}); copy the model folder again") from error
    if not checkpoint.has_weights:
        return Opened(encoder, head, saved.source)
    state = read_weights(checkpoint.folder)
    try:
        nn.ModuleDict({"encoder": encoder, "head": head}).load_state_dict(theirs.ours(state) if theirs else state)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise CheckpointError(f"{checkpoint.folder}: weights do not fit {MODEL_FILE}: {detail:.300}") from error
    return Opened(encoder, head, saved.source, language=saved.language, calibration=saved.calibration)


def restore_head(description: dict[str, Any], encoder: Encoder, checkpoint: Checkpoint) -> Head:
    """Build the head that `Head.describe` described, with random weights; its folder holds what else it needs.

    Raises:
        CheckpointError: of a kind or normalizer version that this version does not have.
    """
    entry = HEADS.find(kind := str(description.get("kind")), CheckpointError, setting="the kind of its head")
    own = FAMILIES[encoder.family].decoder if entry.comes_with_checkpoint else None
    known: type[Head] = own.load() if own and own.head == kind else entry.load()
    head: Head = known.restore(description, encoder, checkpoint)
    return head
