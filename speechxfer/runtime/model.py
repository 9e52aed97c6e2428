"""`ExportedModel`: an exported model, put to use as a trained one is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from speechxfer.config.heads import HEADS
from speechxfer.decoding.hypothesis import Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders.checkpoints import EXPORTED_FILE
from speechxfer.encoders.files import check_fetched
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.heads.reader import Reader
from speechxfer.inference.voice_activity.silero import NETWORK_FILE
from speechxfer.predictor import Predictor
from speechxfer.runtime.folder import GRAPH_FILE, Description
from speechxfer.storage import replacing_folder


class ExportedModel(Predictor):
    """A model that ONNX Runtime computes, without torch.

    Args:
        folder: of the model.
        session: of the graph, an `onnxruntime.InferenceSession`.
        description: what stands beside the graph.
        reader: of the head's outputs.
    """

    def __init__(self, folder: Path, session: Any, description: Description, reader: Reader) -> None:
        self._folder = folder
        self._session = session
        self._reader = reader
        self.description = description
        self.language = description.language
        self.calibration = description.calibration

    @classmethod
    def load(
        cls, name: str, *, device: str = "auto", dtype: str = "auto", threads: int | None = None,
        revision: str | None = None, language: str | None = None,
    ) -> Self:  # fmt: skip
        """Open an exported model's folder. The arguments are those of `SpeechModel.load`.

        Raises:
            CheckpointError: the folder is damaged or of a newer version.
            ConfigError: an argument that has another value for exported models.
        """
        fixed = {"device": (device, "cpu"), "dtype": (dtype, "float32"), "revision": (revision, None)}
        for argument, (value, only) in fixed.items():
            if value not in (only, "auto"):
                raise ConfigError(f"{argument} is {value!r}, but {name} is an exported model, whose {argument} is {only!r}; leave it out")  # fmt: skip  # noqa: E501
        if threads is not None and threads < 1:
            raise ConfigError(f"threads is {threads}; wanted at least 1")
        folder = Path(name).expanduser()
        description = Description.read(folder)
        model = cls(folder, _session(folder / GRAPH_FILE, threads), description, _reader(folder, description.head))
        if (network := folder / NETWORK_FILE).is_file():
            model.voice_activity = network.resolve()
        model.checked(DecodingOptions(language=language))
        return model

    def save(self, folder: str | Path) -> None:
        """As everywhere. The graph stays as it is, so this needs no torch either."""
        described = replace(self.description, head=self._reader.describe(), calibration=self.calibration)
        with replacing_folder(Path(folder).expanduser()) as temporary:
            for file in self._folder.iterdir():
                shutil.copyfile(file, temporary / file.name)
            self._reader.write_files(temporary)
            described.write(temporary)

    @property
    def traits(self) -> Reader:
        """The reader of its head."""
        return self._reader

    @property
    def max_duration_s(self) -> float | None:
        """That of the encoder."""
        return self.description.max_duration_s

    def computed_s(self, duration_s: float) -> float:
        """That of the encoder."""
        return self.description.fixed_duration_s or duration_s

    def _predict(self, waveforms: Sequence[np.ndarray], options: DecodingOptions) -> Sequence[Prediction]:
        options = options.over(self._reader.decoding_defaults)
        found: list[Prediction] = []
        # One by one: batches of four and more are slower on a CPU, and in int8 their waveforms would share a scale.
        for waveform in waveforms:
            outputs, num_frames = self.outputs([waveform])
            found += self._reader.read(outputs, num_frames.tolist(), options)
        return found

    def _frame_log_probabilities(self, waveforms: Sequence[np.ndarray]) -> list[NDArray[np.float32]]:
        found = []
        for waveform in waveforms:
            outputs, num_frames = self.outputs([waveform])
            found.append(outputs[0, : num_frames[0]])
        return found

    def outputs(self, waveforms: Sequence[np.ndarray]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """What the head computes for waveforms in one batch [batch, ...], and the number of hidden states [batch]."""
        block, least = self.description.block, self.description.least_blocks
        num_samples = np.array([len(waveform) for waveform in waveforms], dtype=np.int64)
        size = block * max(-(-int(num_samples.max()) // block), least)
        batch = np.zeros((len(waveforms), size), dtype=np.float32)
        for row, waveform in zip(batch, waveforms, strict=True):
            row[: len(waveform)] = waveform
        try:
            outputs, num_frames = self._session.run(None, {"waveforms": batch, "num_samples": num_samples})
        except Exception as error:  # whatever the library raises; its classes are private
            raise CheckpointError(f"ONNX Runtime cannot compute the graph ({' '.join(str(error).split())[:200]}); export the model again") from error  # fmt: skip  # noqa: E501
        return outputs, num_frames


def _session(path: Path, threads: int | None) -> Any:
    """An open graph."""
    check_fetched(path)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # As torch, which would otherwise be compared with other threads.
    options.intra_op_num_threads = threads or int(os.environ.get("OMP_NUM_THREADS", "0"))
    options.log_severity_level = 3
    # Threads that wait for work would burn as much of the processor as those that do it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Lengths differ from call to call, so a plan of memory for each would only be kept.
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # whatever the library raises; its classes are private
        raise CheckpointError(f"{path}: cannot be opened by ONNX Runtime ({error!s:.200}); export the model again") from error  # fmt: skip  # noqa: E501


def _reader(folder: Path, head: Any) -> Reader:
    """The reader of a head's outputs."""
    try:
        kind = HEADS.find(head["kind"], CheckpointError)
        found: Reader = kind.load_reader().restore(head, folder.__truediv__)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / EXPORTED_FILE}: the head is damaged ({error!r}); export the model again") from error  # fmt: skip  # noqa: E501
    return found
