"""The families of encoders, known by the `model_type` of their checkpoints, and what their weights are called there."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from speechxfer.errors import CheckpointError

if TYPE_CHECKING:
    from speechxfer.encoders.base import Encoder

#: What training puts around a model, and so into the names of its weights: DataParallel, torch.compile, FSDP and
#: recomputed activations.
_WRAPPERS = re.compile(r"(?<![^.])(?:module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
#: Names of weight norm before and after `torch.nn.utils.parametrizations`.
_RENAMED = {".weight_g": ".parametrizations.weight.original0", ".weight_v": ".parametrizations.weight.original1"}

Value = TypeVar("Value")


@dataclass(frozen=True)
class Family:
    """What is known of a family before torch and its module are imported, which takes seconds."""

    #: Of `speechxfer.encoders`, and the class in it.
    module: str
    class_name: str
    #: What the names of its classes in `transformers` begin with.
    stem: str
    #: What the names of weights begin with in a model with a head; a model without one lacks it.
    prefix: str
    #: Names in the model without a head: a weight that every encoder of the family has, and what its weights' names
    #: begin with.
    anchor: str
    parts: tuple[str, ...]

    def load(self) -> type[Encoder]:
        """The class."""
        family: type[Encoder] = getattr(importlib.import_module(f"speechxfer.encoders.{self.module}"), self.class_name)
        return family

    def named(self, state: Mapping[str, Value]) -> dict[str, Value]:
        """A state dict under the names of a model with a head, without what training put around them.

        The names stay as they are where there is no encoder among them.
        """
        plain = {_WRAPPERS.sub("", name): value for name, value in state.items()}
        for old, new in _RENAMED.items():
            plain = {re.sub(rf"{re.escape(old)}$", new, name): value for name, value in plain.items()}
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


_WHISPER = ("encoder.conv1.weight", ("encoder.", "decoder."))
_WAV2VEC2 = (
    "feature_extractor.conv_layers.0.conv.weight",
    ("feature_extractor.", "feature_projection.", "encoder.", "adapter.", "masked_spec_embed"),
)
FAMILIES = {
    "whisper": Family("whisper", "WhisperEncoder", "Whisper", "model.", *_WHISPER),
    "wav2vec2": Family("wav2vec2", "Wav2Vec2Encoder", "Wav2Vec2", "wav2vec2.", *_WAV2VEC2),
    "hubert": Family("wav2vec2", "HubertEncoder", "Hubert", "hubert.", *_WAV2VEC2),
    "wavlm": Family("wav2vec2", "WavLMEncoder", "WavLM", "wavlm.", *_WAV2VEC2),
    "data2vec-audio": Family("wav2vec2", "Data2VecAudioEncoder", "Data2VecAudio", "data2vec_audio.", *_WAV2VEC2),
}


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
