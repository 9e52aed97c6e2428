"""Adapted models for other runtimes, each behind a gate that compares it with the model it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from speechxfer.config.heads import HEADS
from speechxfer.data.manifest import Manifest
from speechxfer.encoders.checkpoints import MODEL_FILE, find
from speechxfer.encoders.files import read_json
from speechxfer.errors import ConfigError
from speechxfer.export.parity import Parity
from speechxfer.progress import Progress
from speechxfer.registry import Register


@dataclass(frozen=True)
class ExportTarget:
    """A runtime that adapted models are written for.

    Attributes:
        convert: writes the model in a folder (first argument) to another (second), with weights of a quantization
            (third), and compares the two on the utterances of a manifest (fourth), or on a few sounds without one, with
            a bar (fifth); nothing is written where they do not agree.
        heads: the heads that it runs, by their names; empty for all that have a reader.
        families: the families of encoders that it runs, by their names; empty for all.
        decoders: those whose own decoders it runs; empty for all that are left by the others.
        wanted: what it runs, in words, for messages.
        quantization: of its weights, where none is asked for: the most exact one that it knows.
    """

    convert: Callable[[Path, Path, str, Manifest | None, Progress | None], Parity]
    wanted: str
    heads: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    decoders: tuple[str, ...] = ()
    quantization: str = "float32"


EXPORT_TARGETS = Register(
    "export target",
    ExportTarget,
    group="speechxfer.export_targets",
    builtin={
        "onnx": "speechxfer.export.onnx:ONNX",
        "ctranslate2": "speechxfer.export.ctranslate2:CTRANSLATE2",
        "transformers": "speechxfer.export.huggingface:TRANSFORMERS",
        "sherpa-onnx": "speechxfer.export.sherpa_onnx:SHERPA_ONNX",
        "onnx-asr": "speechxfer.export.onnx_asr:ONNX_ASR",
        "ggml": "speechxfer.export.ggml:GGML",
    },
)


def export(
    model: str, output: str | Path, *, to: str | None = None, quantization: str | None = None,
    dev: Manifest | None = None, progress: Progress | None = None,
) -> Parity:  # fmt: skip
    """Write an adapted model for another runtime, and compare the two.

    Args:
        model: an adapted model's folder.
        output: the folder to write; it is replaced as a whole, and only after the comparison.
        to: the target: "onnx", "ctranslate2", "transformers", "sherpa-onnx", "onnx-asr", "ggml", or one of another
            package; None for the first that runs such a model.
        quantization: of its weights: float32, float16, int8, or another that the runtime knows; None for the most exact
            one that it knows.
        dev: utterances with their texts or labels, that the two are compared on; without them, a few sounds.
        progress: shows the comparison.

    Raises:
        ConfigError: the target is not known, or does not run such a model.
        ExportError: the two do not agree, or the runtime is not installed; nothing is written.
        StorageError: it could not be written.
    """
    given = None if to is None else EXPORT_TARGETS.find(to)
    checkpoint = find(model)
    if not checkpoint.is_ours:
        raise ConfigError(f"{model}: is not an adapted model; wanted one from speechxfer finetune")
    saved = read_json(checkpoint.folder / MODEL_FILE)
    kind, family = saved["head"]["kind"], saved["encoder"]["family"]
    fitting = {name: target for name, target in EXPORT_TARGETS.items() if not _misfit(target, kind, family)}
    if given is not None and (misfit := _misfit(given, kind, family)):
        hint = f"; take --to {' or '.join(fitting)}" if fitting else ""
        raise ConfigError(f"{model}: {misfit}, but {to} runs {given.wanted}{hint}")
    if not fitting:
        raise ConfigError(f"{model}: has a {family} encoder and a {kind} head, which no target runs; wanted {' or '.join(target.wanted for target in EXPORT_TARGETS.values())}")  # fmt: skip  # noqa: E501
    target = given or next(iter(fitting.values()))
    return target.convert(checkpoint.folder, Path(output), quantization or target.quantization, dev, progress)


def _misfit(target: ExportTarget, kind: str, family: str) -> str:
    """Why a target does not run models with such a head and encoder; empty where it does."""
    read = [name for name, head in HEADS.items() if head.reader]
    if kind not in (target.heads or read):
        return f"has a {kind} head"
    if kind not in read and family not in (target.decoders or [family]):
        return f"has the decoder of a {family}"
    return f"has a {family} encoder" if family not in (target.families or [family]) else ""
