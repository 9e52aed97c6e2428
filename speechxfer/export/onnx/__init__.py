"""Models as a graph of ONNX, which ONNX Runtime computes: `speechxfer.load` opens the folder without torch."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict, replace
from pathlib import Path

from speechxfer.data.loading import durations_s
from speechxfer.data.manifest import Manifest
from speechxfer.errors import CheckpointError, ConfigError, ExportError
from speechxfer.export import ExportTarget
from speechxfer.export.parity import Parity, chosen
from speechxfer.inference.voice_activity import silero
from speechxfer.model import SpeechModel
from speechxfer.runtime.folder import GRAPH_FILE, Description
from speechxfer.storage import replacing_folder

_QUANTIZATIONS = ("float32", "float16", "int8")
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def export_onnx(folder: Path, output: Path, quantization: str, dev: Manifest | None = None) -> Parity:
    """Write a saved model's folder as a graph and compare; `output` is only written when the two agree.

    Raises:
        ConfigError: the quantization is not known.
        DataError: utterances that the model cannot be compared on.
        ExportError: the two do not agree, a package is not installed, or torch's exporter cannot do it.
        StorageError: it could not be written.
    """
    if quantization not in _QUANTIZATIONS:
        raise ConfigError(f"quantization is {quantization!r}; wanted one of {', '.join(_QUANTIZATIONS)}")
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise ExportError(f"{' and '.join(missing)} not installed; python -m pip install 'speechxfer[export]'")
    model = SpeechModel.load(str(folder), device="cpu")
    if dev is not None:
        dev = chosen(dev)
        model.traits.check_measurable(dev, None)
        durations_s(dev, model.max_duration_s)
    with replacing_folder(output) as temporary:
        parity = _write(model, temporary, quantization, dev)
        sizes = sum(path.stat().st_size for path in temporary.iterdir()), (folder / "model.safetensors").stat().st_size
    return replace(parity, sizes=sizes)


def _write(model: SpeechModel, folder: Path, quantization: str, dev: Manifest | None) -> Parity:
    """Everything into a folder, which is then opened and compared."""
    from speechxfer.export.onnx.comparison import agrees, compare
    from speechxfer.export.onnx.graph import write_graph
    from speechxfer.export.onnx.quantization import quantize
    from speechxfer.runtime.model import ExportedModel

    assert model.head.reader is not None
    write_graph(model, folder / GRAPH_FILE)
    quantize(folder / GRAPH_FILE, quantization)
    model.head.reader.write_files(folder)
    if model.traits.task == "transcription":
        silero.write_files(folder)
    _description(model, quantization).write(folder)
    try:
        parity = compare(model, ExportedModel.load(str(folder)), dev)
    except CheckpointError as error:
        raise ExportError(f"the exported model does not run: {error}; nothing was written") from error
    if not agrees(parity, quantization):
        more = "" if dev is not None else "; name utterances to compare on (--dev)"
        raise ExportError(f"the exported model does not agree with the original in {quantization} ({parity}){more}; nothing was written")  # fmt: skip  # noqa: E501
    return parity


def _description(model: SpeechModel, quantization: str) -> Description:
    from speechxfer.export.onnx.graph import block_of, least_blocks_of

    encoder = model.encoder
    assert model.head.reader is not None
    return Description(
        head=model.head.reader.describe(), quantization=quantization, sample_rate=encoder.sample_rate,
        block=block_of(encoder), least_blocks=least_blocks_of(encoder), max_duration_s=encoder.max_duration_s,
        fixed_duration_s=encoder.computed_s(0.0) or None, language=model.language, source=model.source,
        calibration=asdict(model.calibration) if model.calibration else None,
    )  # fmt: skip


ONNX = ExportTarget(export_onnx, wanted="CTC and classification heads; wanted a model from finetune --head ctc or classification")  # fmt: skip  # noqa: E501
