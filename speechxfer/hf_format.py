"""Folders as `transformers` has them: what our weights are called there, and how its heads become ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from speechxfer.config.families import Family, family_of
from speechxfer.data.labels import ClassLabels
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Phonemes, Vocabulary
from speechxfer.encoders.base import Architecture, Encoder
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import CheckpointError
from speechxfer.heads.base import Head
from speechxfer.heads.classification.head import ClassificationHead
from speechxfer.heads.ctc.files import read_spelling
from speechxfer.heads.ctc.head import CTCHead

#: What is no head: what pre-training leaves above an encoder, and a decoder's tokens, which the decoder has as well.
_NO_HEAD = ("quantizer.", "project_q.", "project_hid.", "proj_out.")
_CTC = {"lm_head.weight", "lm_head.bias"}
_CLASSIFICATION = {"projector.weight", "projector.bias", "classifier.weight", "classifier.bias"}


@dataclass(frozen=True)
class Folder:
    """How `transformers` writes a model down."""

    #: Beginnings of weights' names, ours -> theirs.
    names: Mapping[str, str]
    #: JSON files by name.
    files: Mapping[str, Any]
    #: Beginnings of their names of matrices that they write as convolutions with a kernel of one frame.
    convolutions: tuple[str, ...] = ()

    def theirs(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of ours as they write it."""
        renamed = _renamed(state, self.names)
        return {name: value[..., None] if value.ndim == 2 and name.startswith(self.convolutions) else value for name, value in renamed.items()}  # fmt: skip  # noqa: E501

    def ours(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The other way."""
        flat = {name: value[..., 0] if value.ndim == 3 and name.startswith(self.convolutions) else value for name, value in state.items()}  # fmt: skip  # noqa: E501
        return _renamed(flat, {theirs: ours for ours, theirs in self.names.items()})


def folder_of(encoder: Encoder, head: Head) -> Folder | None:
    """How `transformers` would write this model down; None where it has no class for it."""
    written = head.interchange()
    if written is None or encoder.pooling is not None or head.kind not in encoder.architectures:
        return None
    architecture = encoder.architectures[head.kind]
    heads = {f"head.{ours}": architecture.head_names.get(theirs, theirs) for ours, theirs in written.names.items()}
    config = encoder.describe()["config"]
    config.pop("torch_dtype", None)  # the name of the same before transformers 5
    if architecture.outer_type:
        config = {"model_type": architecture.outer_type, "encoder_config": config}
    precision = str(next(encoder.parameters()).dtype).removeprefix("torch.")
    config |= {**written.config, "architectures": [architecture.name], "dtype": precision}
    files = {"config.json": config, "preprocessor_config.json": encoder.feature_extractor(), **written.files}
    return Folder({"encoder.modules_.": architecture.encoder, **heads}, files, _convolutions(architecture))


def options_of(family: Family, state: Mapping[str, Tensor]) -> Mapping[str, Any]:
    """Options of the encoder with which the head among these weights was trained."""
    return family.classifier_options if state.keys() >= _CLASSIFICATION else {}


def read_head(
    checkpoint: Checkpoint, config: Mapping[str, Any], state: Mapping[str, Tensor], encoder: Encoder
) -> CTCHead | ClassificationHead | None:
    """The CTC or classification head of a checkpoint of `transformers`, with its weights; None where there is none.

    Raises:
        CheckpointError: its labels do not fit its weights, or it is of a kind that is not read.
    """
    family = family_of(checkpoint.name, config)
    if family.unsupported and not all(name.startswith(f"{family.prefix}{family.parts[0]}") for name in state):
        raise CheckpointError(f"{checkpoint.name}: its {family.unsupported} is not supported")
    state = _usual_names(state, encoder.architectures.get(CTCHead.kind))
    within = family.prefix or family.parts or ""
    above = {name for name in state if not name.startswith(within) and not name.startswith(_NO_HEAD)}
    named = ", ".join(config.get("architectures") or []) or "unknown class"
    if any(name.startswith(f"{family.prefix}adapter.") for name in state):
        raise CheckpointError(f"{checkpoint.name}: an adapter of convolutions stands above its encoder (add_adapter in config.json of {named}), which is not supported: what it gives depends on padding")  # fmt: skip  # noqa: E501
    if above == _CTC:
        return _ctc_head(checkpoint, config, state, encoder)
    if above - {"layer_weights"} == _CLASSIFICATION:
        return _classification_head(checkpoint, config, state, encoder)
    if above:
        raise CheckpointError(f"{checkpoint.name}: its head ({named}) is of a kind that is not supported; wanted a CTC head or one for classes of whole utterances")  # fmt: skip  # noqa: E501
    return None


def _usual_names(state: Mapping[str, Tensor], architecture: Architecture | None) -> Mapping[str, Tensor]:
    """The weights of a head as most classes name and shape them."""
    if architecture is None:
        return state
    return Folder(architecture.head_names, {}, _convolutions(architecture)).ours(state)


def _convolutions(architecture: Architecture) -> tuple[str, ...]:
    return tuple(architecture.head_names.values()) if architecture.convolutional_head else ()


def _ctc_head(
    checkpoint: Checkpoint, config: Mapping[str, Any], state: Mapping[str, Tensor], encoder: Encoder
) -> CTCHead:
    weight, bias = state["lm_head.weight"], state["lm_head.bias"]
    spelling = read_spelling(checkpoint, config, len(weight))
    vocabulary, outputs = spelling.vocabulary, spelling.outputs
    head = CTCHead(encoder.width, encoder.output_frame_rate, vocabulary, _normalizer_of(vocabulary))
    _take(checkpoint, head, {"projection.weight": weight[outputs], "projection.bias": bias[outputs]})
    return head


def _normalizer_of(vocabulary: Vocabulary) -> TextNormalizer:
    """The first that writes every character of the vocabulary as it is; phonemes are never written otherwise."""
    # Apostrophes and marks only stand between letters.
    letter = next((character for character in vocabulary.alphabet if character.isalpha()), "a")
    written = [f"{letter}{symbol.replace(' ', '')}{letter}" for symbol in vocabulary.symbols]
    for name in ("basic", "basic-upper") if not isinstance(vocabulary, Phonemes) else ():
        normalizer = TextNormalizer(name)
        if all(normalizer(text) == text for text in written):
            return normalizer
    return TextNormalizer("none")


def _classification_head(
    checkpoint: Checkpoint, config: Mapping[str, Any], state: Mapping[str, Tensor], encoder: Encoder
) -> ClassificationHead:
    outputs = len(state["classifier.weight"])
    if config.get("problem_type") == "regression" or outputs == 1:
        raise CheckpointError(f"{checkpoint.name}: its head ({outputs} outputs) tells numbers and not classes, which is not supported")  # fmt: skip  # noqa: E501
    labels = ClassLabels(_class_names(checkpoint, config, outputs))
    encoder.set_stacked(bool(config.get("use_weighted_layer_sum")))
    head = ClassificationHead(
        encoder.width,
        labels,
        projection=len(state["projector.weight"]),
        multi_label=config.get("problem_type") == "multi_label_classification",
        pool_padding=encoder.fixed_length,
        states=encoder.num_states,
    )
    own = {name: value for name, value in state.items() if name in _CLASSIFICATION}
    own |= {"layer_sum.weights": state["layer_weights"]} if encoder.stacked and "layer_weights" in state else {}
    _take(checkpoint, head, own)
    return head


def _class_names(checkpoint: Checkpoint, config: Mapping[str, Any], outputs: int) -> list[str]:
    """Of the head's outputs; where config.json names none, as `transformers` does then."""
    named = config.get("id2label") or {number: f"LABEL_{number}" for number in range(outputs)}
    names = [str(named[key]) for key in sorted(named, key=int)]
    if len(names) != outputs:
        raise CheckpointError(
            f"{checkpoint.file('config.json')}: names {len(names)} classes (id2label), but the head has "
            f"{outputs} outputs; one of them is of another model"
        )
    return names


def _take(checkpoint: Checkpoint, head: Head, state: Mapping[str, Tensor]) -> None:
    try:
        head.load_state_dict(state, strict=False)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise CheckpointError(f"{checkpoint.name}: the head's weights do not fit config.json: {detail:.200}") from error


def _renamed(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        old, new = next(((old, new) for old, new in names.items() if name.startswith(old)), ("", ""))
        renamed[new + name.removeprefix(old)] = value
    return renamed
