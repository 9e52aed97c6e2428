"""Models as a graph of ONNX, which ONNX Runtime computes: `speechxfer.load` opens the folder without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from speechxfer.export import ExportTarget
from speechxfer.export.gate import Answer, Compute, Conversion, valid_rows
from speechxfer.inference.voice_activity import silero
from speechxfer.model import SpeechModel
from speechxfer.runtime.folder import GRAPH_FILE, Description


def _write(model: SpeechModel, _: Path, folder: Path, quantization: str, examples: Sequence[np.ndarray]) -> None:
    """The graph, and what it takes to read its outputs."""
    from speechxfer.export.onnx.graph import inputs_of, write_graph
    from speechxfer.export.onnx.quantization import quantize

    assert model.head.reader is not None
    write_graph(model, folder / GRAPH_FILE)
    given = [inputs_of(model.encoder, waveform) for waveform in examples]
    quantize(folder / GRAPH_FILE, quantization, given)
    model.head.reader.write_files(folder)
    if model.traits.task == "transcription":
        silero.write_files(folder)
    description(model, quantization).write(folder)


def _open(_: SpeechModel, folder: Path) -> Compute:
    from speechxfer.runtime.model import ExportedModel

    exported = ExportedModel.load(str(folder))

    def compute(waveform: np.ndarray) -> Answer:
        outputs, num_frames = exported.outputs([waveform])
        (prediction,) = exported.traits.read(outputs, num_frames.tolist(), exported.traits.decoding_defaults)
        return Answer(prediction, valid_rows(outputs, int(num_frames[0])))

    return compute


def description(model: SpeechModel, quantization: str) -> Description:
    """What stands beside the graph of a model."""
    from speechxfer.export.onnx.graph import block_of, least_blocks_of

    encoder = model.encoder
    assert model.head.reader is not None
    return Description(
        head=model.head.reader.describe(), quantization=quantization, sample_rate=encoder.sample_rate,
        block=block_of(encoder), least_blocks=least_blocks_of(encoder), max_duration_s=encoder.max_duration_s,
        fixed_duration_s=encoder.computed_s(0.0) or None, language=model.language, source=model.source,
        calibration=model.calibration,
    )  # fmt: skip


ONNX = ExportTarget(
    Conversion(_write, _open, packages=("onnx", "onnxscript", "onnxruntime"), keeps_search=True),
    wanted="CTC and classification heads; wanted a model from finetune --head ctc or classification",
)
