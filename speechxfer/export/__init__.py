"""Adapted models for other runtimes, each behind a gate that compares it with the model it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from speechxfer.encoders.checkpoints import MODEL_FILE, find
from speechxfer.encoders.files import read_json
from speechxfer.errors import ConfigError
from speechxfer.export.parity import Parity
from speechxfer.registry import Register


@dataclass(frozen=True)
class ExportTarget:
    """A runtime that adapted models are written for.

    Attributes:
        convert: writes the model in a folder (first argument) to another (second), with weights of a quantization
            (third), and compares the two; nothing is written where they do not agree.
        heads: the heads that it runs, by their names.
        families: the families of encoders that it runs, by their names; empty for all.
        wanted: what it runs, in words, for messages.
    """

    convert: Callable[[Path, Path, str], Parity]
    heads: tuple[str, ...]
    wanted: str
    families: tuple[str, ...] = ()


EXPORT_TARGETS = Register(
    "export target",
    ExportTarget,
    group="speechxfer.export_targets",
    builtin={"ctranslate2": "speechxfer.export.ctranslate2:CTRANSLATE2"},
)


def export(model: str, output: str | Path, *, to: str = "ctranslate2", quantization: str = "float32") -> Parity:
    """Write an adapted model for another runtime, and compare the two on a few sounds.

    Args:
        model: an adapted model's folder.
        output: the folder to write; it is replaced as a whole, and only after the comparison.
        to: the target: "ctranslate2", which faster-whisper runs, or one of another package.
        quantization: of its weights: float32, float16, int8, or another that the runtime knows.

    Raises:
        ConfigError: the target is not known, or does not run such a model.
        ExportError: the two do not agree, or the runtime is not installed; nothing is written.
        StorageError: it could not be written.
    """
    target = EXPORT_TARGETS.find(to)
    checkpoint = find(model)
    seen = "is not an adapted model"
    if checkpoint.is_ours:
        saved = read_json(checkpoint.folder / MODEL_FILE)
        kind, family = saved["head"]["kind"], saved["encoder"]["family"]
        if kind in target.heads and family in (target.families or [family]):
            return target.convert(checkpoint.folder, Path(output), quantization)
        seen = f"has a {kind} head" if kind not in target.heads else f"has a {family} encoder"
    raise ConfigError(f"{model}: {seen}, but {to} runs {target.wanted}")
