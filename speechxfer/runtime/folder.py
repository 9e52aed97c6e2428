"""The folder of an exported model: the graph from waveforms to a head's outputs, and what it takes to read those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from speechxfer.decoding.calibration import Calibration
from speechxfer.encoders.checkpoints import EXPORTED_FILE
from speechxfer.encoders.files import read_json
from speechxfer.errors import CheckpointError
from speechxfer.records import converted
from speechxfer.storage import write_json

#: The version of the layout; a newer one is refused.
FORMAT = 1
#: Samples that a waveform is padded to at most.
_LARGEST = 1 << 31
#: Weights and operations, from `waveforms` [batch, samples] and `num_samples` [batch] to `outputs` [batch, ...], as
#: the head's reader takes them, and `num_frames` [batch].
GRAPH_FILE = "model.onnx"


def is_exported(name: str) -> bool:
    """Whether a name is the folder of an exported model."""
    return (Path(name).expanduser() / EXPORTED_FILE).is_file()


@dataclass(frozen=True)
class Description:
    """What stands in `exported.json` beside the version of the layout.

    Attributes:
        head: what the head's reader is restored from; "kind" says which head it is.
        quantization: of the weights: float32, float16 or int8.
        sample_rate: of waveforms, in Hz.
        block: waveforms are padded with zeros to a multiple of so many samples.
        least_blocks: as many blocks there are at least.
        max_duration_s: longest waveform it can take, in seconds; None where there is no limit.
        fixed_duration_s: seconds that every waveform is padded to inside the graph; None where it is not.
        language: what is spoken; empty where that is not known.
        source: the pre-trained model it was made from.
        calibration: of confidences; None where they are as the model gives them.
    """

    head: Mapping[str, Any]
    quantization: str
    sample_rate: int
    block: int
    least_blocks: int
    max_duration_s: float | None
    fixed_duration_s: float | None
    language: str
    source: str
    calibration: Calibration | None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Of an exported model's folder.

        Raises:
            CheckpointError: it is damaged, or of a newer version.
        """
        path = folder / EXPORTED_FILE
        content = read_json(path)
        version = content.get("format")
        if isinstance(version, int) and version > FORMAT:
            raise CheckpointError(f"{path}: is of format {version}, and this version of speechxfer reads up to {FORMAT}; install a newer speechxfer, or export the model again with this one")  # fmt: skip  # noqa: E501
        try:
            converted(int, version, "format")
            found = converted(cls, content)
        except ValueError as error:
            raise CheckpointError(f"{path}: is damaged ({error}); export the model again") from error
        if not 0 < found.block * found.least_blocks <= _LARGEST:
            seen = f"block is {found.block} and least_blocks {found.least_blocks}"
            raise CheckpointError(f"{path}: is damaged ({seen}; wanted at least 1); export the model again")
        return found

    def write(self, folder: Path) -> None:
        """Into a folder."""
        write_json(folder / EXPORTED_FILE, {"format": FORMAT, **asdict(self)})
