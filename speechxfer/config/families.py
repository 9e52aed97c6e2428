"""Families of encoders, found by the `model_type` of their checkpoints, and what their weights are called there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from speechxfer.config.values import Table, kinds
from speechxfer.errors import CheckpointError
from speechxfer.registry import Register, resolve

#: What training puts around a model, and so into the names of its weights: DataParallel, torch.compile, FSDP and
#: recomputed activations.
_WRAPPERS = re.compile(r"(?<![^.])(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")

Value = TypeVar("Value")


@dataclass(frozen=True)
class OwnDecoder:
    """A decoder that comes with the encoders of a family, and is one of the heads."""

    #: "module:Class", of a subclass of `heads.seq2seq.head.Seq2SeqHead`, or of another head with a `read` like it.
    implementation: str
    #: The head that it is, by its name in the register of heads.
    head: str
    #: What the names of its weights begin with.
    prefix: str
    #: Options of the encoder with which it was trained; they hold unless others are asked for.
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """The class; importing it takes seconds."""
        return resolve(self.implementation)


@dataclass(frozen=True)
class Languages:
    """Weights that checkpoints of a family may have for each of several languages, beside those that all share."""

    #: The setting that is in the `config.json` of such a checkpoint.
    setting: str
    #: "module:function": from a checkpoint, its configuration and its state dict to those in the language asked for.
    opens: str


@dataclass(frozen=True)
class Family:
    """What is known of a family of encoders before torch and its module are imported, which takes seconds.

    The register's name of a family is the `model_type` in the `config.json` of its checkpoints.
    """

    #: "module:Class", of a subclass of `encoders.base.Encoder`.
    encoder: str
    #: What the names of its classes in `transformers` begin with; empty where there are none.
    stem: str = ""
    #: What the names of weights begin with in a model with a head; a model without one lacks it.
    prefix: str = ""
    #: Names in the model without a head: a weight that every encoder of the family has, and what its weights' names
    #: begin with. Without them, weights are taken by the names they have.
    anchor: str = ""
    parts: tuple[str, ...] = ()
    #: Names in other layouts of checkpoints, as regular expressions -> names in that of `transformers`.
    renamed: Mapping[str, str] = field(default_factory=dict)
    #: What stands on the encoder in its checkpoints and cannot be opened, in words; empty where they can be.
    unsupported: str = ""
    #: Options of the encoder with which classification heads of `transformers` were trained.
    classifier_options: Mapping[str, Any] = field(default_factory=dict)
    decoder: OwnDecoder | None = None
    #: Its own group of settings, if it has one. Each is an option of its encoder's `build`; one that is false, zero or
    #: empty is not set. Names of settings are unique among families.
    settings: type[Table] | None = None
    #: "module:function" for each other tool whose folders are read: from a folder to the configuration and the state
    #: dict as `transformers` has them, or None where the folder is not of that tool.
    readers: tuple[str, ...] = ()
    languages: Languages | None = None

    @property
    def options(self) -> tuple[str, ...]:
        """The names of its settings."""
        return () if self.settings is None else tuple(kinds(self.settings))

    def load(self) -> Any:
        """The class of its encoders; importing it takes seconds."""
        return resolve(self.encoder)

    def named(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """A state dict under the names of a model with a head, without what training put around them.

        The names stay as they are where there is no encoder among them.
        """
        plain = {_WRAPPERS.sub("", name): value for name, value in state.items()}
        if not self.anchor:
            return plain
        for old, new in self.renamed.items():
            plain = {re.sub(old, new, name): value for name, value in plain.items()}
        part, alone = self.parts[0], self.anchor.removeprefix(self.parts[0])
        if alone in plain:  # a part that was saved by itself
            plain = {f"{part}{name}": value for name, value in plain.items()}
        outer = next((name.removesuffix(self.anchor) for name in plain if f".{name}".endswith(f".{self.anchor}")), None)
        if outer is None:
            return plain
        has_prefix = f".{outer}".endswith(f".{self.prefix}")
        outer = outer.removesuffix(self.prefix) if has_prefix else outer
        inner = {name.removeprefix(outer): value for name, value in plain.items()}
        if has_prefix:
            return inner
        return {f"{self.prefix}{name}" if name.startswith(self.parts) else name: value for name, value in inner.items()}


_MODULES = "speechxfer.families"
FAMILIES = Register(
    "family of encoders",
    Family,
    group="speechxfer.families",
    builtin={
        "whisper": f"{_MODULES}.whisper:WHISPER",
        "wav2vec2": f"{_MODULES}.wav2vec2:WAV2VEC2",
        "hubert": f"{_MODULES}.wav2vec2:HUBERT",
        "wavlm": f"{_MODULES}.wav2vec2:WAVLM",
        "data2vec-audio": f"{_MODULES}.wav2vec2:DATA2VEC_AUDIO",
        "wav2vec2-bert": f"{_MODULES}.wav2vec2_bert:WAV2VEC2_BERT",
        "parakeet_ctc": f"{_MODULES}.fastconformer:PARAKEET_CTC",
        "parakeet_encoder": f"{_MODULES}.fastconformer:PARAKEET_CTC",
        "parakeet_rnnt": f"{_MODULES}.fastconformer:PARAKEET_TRANSDUCER",
        "parakeet_tdt": f"{_MODULES}.fastconformer:PARAKEET_TRANSDUCER",
        "canary": f"{_MODULES}.fastconformer:CANARY",
        "cohere_asr": f"{_MODULES}.fastconformer:COHERE",
        "nemotron_asr_streaming": f"{_MODULES}.fastconformer:STREAMING",
        "nemotron_asr_streaming_encoder": f"{_MODULES}.fastconformer:STREAMING",
        "lasr_ctc": f"{_MODULES}.fastconformer:MEDASR",
        "lasr_encoder": f"{_MODULES}.fastconformer:MEDASR",
        "moonshine": f"{_MODULES}.moonshine:MOONSHINE",
    },
)


def family_groups() -> Mapping[str, type[Table]]:
    """The groups of settings of all families there are, by name."""
    return {entry.settings.group: entry.settings for entry in FAMILIES.values() if entry.settings is not None}


def setting_of(option: str) -> str:
    """The full name of the setting that an option of an encoder is, such as "whisper.pad_to_30s"."""
    groups = (entry.settings.group for entry in FAMILIES.values() if entry.settings and option in entry.options)
    return f"{next(groups, 'encoder')}.{option}"


def family_of(name: str, config: Mapping[str, Any]) -> Family:
    """The family of a checkpoint by its configuration; `name` is what the checkpoint is called in messages.

    Raises:
        CheckpointError: it is of none of them.
    """
    model_type = config.get("model_type")
    if isinstance(model_type, str) and model_type in FAMILIES:
        return FAMILIES[model_type]
    seen = f"is a {model_type!r} model" if model_type else "its config.json names no model_type"
    code = "; it brings code of its own (auto_map), which is never run" if config.get("auto_map") else ""
    raise CheckpointError(f"{name}: {seen}{code}; wanted one of: {', '.join(FAMILIES)}")
