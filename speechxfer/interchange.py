"""Folders as `transformers` has them: what our weights are called there, and how its heads become ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from speechxfer.data.labels import ClassLabels
from speechxfer.data.text import CTCVocabulary, TextNormalizer
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import read_json
from speechxfer.errors import CheckpointError
from speechxfer.heads.base import Head
from speechxfer.heads.classification import ClassificationHead
from speechxfer.heads.ctc import CTCHead

_SPECIAL = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}


@dataclass(frozen=True)
class Folder:
    """How `transformers` writes a model down."""

    #: Beginnings of weights' names, ours -> theirs.
    names: Mapping[str, str]
    #: JSON files by name.
    files: Mapping[str, Any]

    def theirs(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict of ours with their names."""
        return _renamed(state, self.names)

    def ours(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The other way."""
        return _renamed(state, {theirs: ours for ours, theirs in self.names.items()})


def folder_of(encoder: Encoder, head: Head) -> Folder | None:
    """How `transformers` would write this model down; None where it has no class for it."""
    written = head.interchange()
    if written is None or encoder.pooling is not None or head.kind not in encoder.architectures:
        return None
    architecture, prefix = encoder.architectures[head.kind]
    names = {"encoder.modules_.": prefix} | {f"head.{ours}": theirs for ours, theirs in written.names.items()}
    config = {**encoder.describe()["config"], **written.config, "architectures": [architecture]}
    return Folder(names, {"config.json": config, "preprocessor_config.json": encoder.feature_extractor(), **written.files})  # fmt: skip  # noqa: E501


def options_of(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What an encoder has to be told, so that a head that comes with these weights hears what it was trained on."""
    return {"pad_to_30s": True} if "encoder.conv1.weight" in state else {}


def read_head(
    folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor], encoder: Encoder
) -> CTCHead | ClassificationHead | None:
    """The CTC or classification head of a folder of `transformers`, with its weights; None where there is none.

    Raises:
        CheckpointError: its labels do not fit its weights, or it is of a kind that is not read.
    """
    if "lm_head.weight" in state:
        return _ctc_head(folder, config, state, encoder)
    if "classifier.weight" in state and "projector.weight" in state:
        return _classification_head(folder, config, state, encoder)
    return None


def _ctc_head(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor], encoder: Encoder) -> CTCHead:
    """Rows of special tokens other than the blank, which no transcript holds, are left out."""
    weight, bias = state["lm_head.weight"], state["lm_head.bias"]
    spelled = _spelled(folder, config, len(weight))
    numbers = [config.get("pad_token_id", 0), *spelled]
    vocabulary = CTCVocabulary(list(spelled.values()))
    head = CTCHead(encoder.width, encoder.output_frame_rate, vocabulary, _normalizer_of(vocabulary))
    _take(folder, head, {"projection.weight": weight[numbers], "projection.bias": bias[numbers]})
    return head


def _spelled(folder: Path, config: Mapping[str, Any], rows: int) -> dict[int, str]:
    """Row of the head -> the character it stands for, from `vocab.json`."""
    path = folder / "vocab.json"
    vocabulary = read_json(path)
    if not isinstance(vocabulary, dict) or not all(isinstance(number, int) for number in vocabulary.values()):
        raise CheckpointError(f"{path}: holds no numbers of characters (several languages?); wanted one vocabulary")
    special, delimiter = _tokenizer(folder)
    blank = config.get("pad_token_id", 0)
    if vocabulary.get(special["pad_token"]) != blank:
        raise CheckpointError(
            f"{path}: {special['pad_token']!r} is number {vocabulary.get(special['pad_token'])}, but config.json says "
            f"that the blank (pad_token_id) is {blank}; they have to agree"
        )
    spelled = {
        number: " " if token == delimiter else token
        for token, number in sorted(vocabulary.items(), key=lambda item: item[1])
        if token not in special.values()
    }
    if spelled and max(spelled) >= rows:
        raise CheckpointError(f"{path}: spells {max(spelled) + 1} numbers, but the head has {rows} outputs; one of them is of another model")  # fmt: skip  # noqa: E501
    if unnamed := set(range(rows)) - set(vocabulary.values()) - _added(folder):
        raise CheckpointError(f"{path}: spells {len(vocabulary)} of the head's {rows} outputs, but not number {min(unnamed)}; one of them is of another model")  # fmt: skip  # noqa: E501
    if long := [token for token in spelled.values() if len(token) != 1]:
        raise CheckpointError(f"{path}: {long[0]!r} is more than a character; a CTC head over pieces of words or phonemes is not read")  # fmt: skip  # noqa: E501
    return spelled


def _tokenizer(folder: Path) -> tuple[dict[str, str], str]:
    """Special tokens by role, and what stands for the space."""
    found: dict[str, Any] = dict(_SPECIAL)
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            found |= {key: value for key, value in read_json(folder / name).items() if value is not None}
    content = {key: value["content"] if isinstance(value, dict) else value for key, value in found.items() if key.endswith("_token")}  # fmt: skip  # noqa: E501
    return {role: content[role] for role in _SPECIAL}, content.get("word_delimiter_token", "|")


def _added(folder: Path) -> set[int]:
    """Numbers of tokens that were added to the vocabulary later."""
    path, old = folder / "tokenizer_config.json", folder / "added_tokens.json"
    numbers = set(map(int, read_json(path).get("added_tokens_decoder", {}))) if path.is_file() else set()
    return numbers | (set(read_json(old).values()) if old.is_file() else set())


def _normalizer_of(vocabulary: CTCVocabulary) -> TextNormalizer:
    """The first that writes every character of the vocabulary as it is."""
    for name in ("basic", "basic-upper"):
        normalizer = TextNormalizer(name)
        # Apostrophes and marks only stand between letters.
        letter = next((symbol for symbol in vocabulary.symbols if symbol.isalpha()), "a")
        if all(normalizer(f"{letter}{symbol}{letter}") == f"{letter}{symbol}{letter}" for symbol in vocabulary.symbols):
            return normalizer
    return TextNormalizer("none")


def _classification_head(
    folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor], encoder: Encoder
) -> ClassificationHead:
    encoder.set_stacked(bool(config.get("use_weighted_layer_sum")))
    named = config.get("id2label", {})
    names = [named[key] for key in sorted(named, key=int)]
    if len(names) != len(state["classifier.weight"]):
        raise CheckpointError(
            f"{folder / 'config.json'}: names {len(names)} classes (id2label), but the head has "
            f"{len(state['classifier.weight'])} outputs; one of them is of another model"
        )
    head = ClassificationHead(
        encoder.width,
        ClassLabels(names),
        projection=len(state["projector.weight"]),
        multi_label=config.get("problem_type") == "multi_label_classification",
        pool_padding=encoder.fixed_length,
        states=encoder.num_states,
    )
    own = {name: value for name, value in state.items() if name.startswith(("projector.", "classifier."))}
    own |= {"layer_sum.weights": state["layer_weights"]} if encoder.stacked and "layer_weights" in state else {}
    _take(folder, head, own)
    return head


def _take(folder: Path, head: Head, state: Mapping[str, Tensor]) -> None:
    try:
        head.load_state_dict(state, strict=False)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise CheckpointError(f"{folder}: the head's weights do not fit config.json: {detail:.200}") from error


def _renamed(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        old, new = next(((old, new) for old, new in names.items() if name.startswith(old)), ("", ""))
        renamed[new + name.removeprefix(old)] = value
    return renamed
