"""Adapted models for other runtimes, each behind a gate that compares it with the model it came from."""

from __future__ import annotations

from pathlib import Path

from speechxfer.encoders.checkpoints import MODEL_FILE, find
from speechxfer.encoders.files import read_json
from speechxfer.errors import ConfigError
from speechxfer.export.parity import Parity

FORMATS = ("ctranslate2",)


def export(model: str, output: str | Path, *, to: str = "ctranslate2", quantization: str = "float32") -> Parity:
    """Write an adapted model for another runtime, and compare the two on a few sounds.

    Args:
        model: an adapted model's folder.
        output: the folder to write; it is replaced as a whole, and only after the comparison.
        to: "ctranslate2", which faster-whisper runs.
        quantization: of its weights: float32, float16, int8, or another that CTranslate2 knows.

    Raises:
        ConfigError: the format is not known, or has nothing for such a model.
        ExportError: the two do not agree, or the runtime is not installed; nothing is written.
        StorageError: it could not be written.
    """
    if to not in FORMATS:
        raise ConfigError(f"format {to!r} is not known; wanted one of: {', '.join(FORMATS)}")
    checkpoint = find(model)
    kind = read_json(checkpoint.folder / MODEL_FILE)["head"]["kind"] if checkpoint.is_ours else None
    if kind != "seq2seq":
        seen = f"has a {kind} head" if kind else "is not an adapted model"
        raise ConfigError(
            f"{model}: {seen}, but CTranslate2 runs Whisper with its own decoder; wanted a model from "
            "finetune --head seq2seq"
        )
    from speechxfer.export.ctranslate2 import export_whisper

    return export_whisper(checkpoint.folder, Path(output), quantization)
