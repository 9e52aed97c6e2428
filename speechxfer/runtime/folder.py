"""The folder of an exported model: the graph from waveforms to a head's outputs, and what it takes to read those."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from speechxfer.encoders.checkpoints import EXPORTED_FILE
from speechxfer.encoders.files import read_json
from speechxfer.errors import CheckpointError
from speechxfer.storage import write_json

#: The version of the layout; a newer one is refused.
FORMAT = 1
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
    calibration: Mapping[str, float] | None

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
        names = [item.name for item in fields(cls)]
        if missing := [name for name in ("format", *names) if name not in content]:
            raise CheckpointError(f"{path}: lacks {missing[0]!r}, so it is not whole; export the model again")
        return cls(**{name: content[name] for name in names})

    def write(self, folder: Path) -> None:
        """Into a folder."""
        write_json(folder / EXPORTED_FILE, {"format": FORMAT, **asdict(self)})
