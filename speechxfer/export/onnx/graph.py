"""From an encoder with a head to a graph of ONNX: waveforms in, the head's outputs out, of any length and batch."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from speechxfer.encoders.base import Encoder
from speechxfer.encoders.log_mel import PowerSpectrum
from speechxfer.errors import ExportError
from speechxfer.export.onnx.attention import attention
from speechxfer.heads.base import Head
from speechxfer.model import SpeechModel

#: The version of ONNX's operators.
_OPSET = 20
#: Shorter waveforms are padded to so much, which is more than any encoder needs for a frame.
_LEAST_S = 0.25
_INPUTS = ("waveforms", "num_samples")


def block_of(encoder: Encoder) -> int:
    """Samples of one frame: with a multiple of it, sizes inside the graph are plain functions of one number."""
    return round(encoder.sample_rate / encoder.frame_rate)


def least_blocks_of(encoder: Encoder) -> int:
    """How many blocks the graph wants at least."""
    return -(-int(_LEAST_S * encoder.sample_rate) // block_of(encoder))


def inputs_of(encoder: Encoder, waveform: np.ndarray) -> dict[str, np.ndarray]:
    """A waveform as the graph takes it: [1, samples], padded to whole blocks."""
    block = block_of(encoder)
    blocks = max(-(-len(waveform) // block), least_blocks_of(encoder))
    padded = np.pad(waveform, (0, blocks * block - len(waveform)))[None].astype(np.float32)
    return dict(zip(_INPUTS, (padded, np.array([len(waveform)], dtype=np.int64)), strict=True))


class _Graph(nn.Module):
    """Waveforms [batch, samples] and lengths [batch] -> outputs [batch, ...] and numbers of hidden states [batch]."""

    def __init__(self, encoder: Encoder, head: Head) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        hidden_states, num_frames = self.encoder(waveforms, num_samples)
        return self.head.outputs(hidden_states, num_frames), num_frames


def write_graph(model: SpeechModel, path: Path) -> None:
    """Write a model as a graph of float32, by torch's exporter.

    Raises:
        ExportError: the exporter cannot do it.
    """
    encoder = model.encoder
    write_from_waveforms(
        _Graph(encoder, model.head), encoder, path, names=([*_INPUTS], ["outputs", "num_frames"]),
        title=f"a {encoder.family} encoder with a {model.head.kind} head",
    )  # fmt: skip


def write_from_waveforms(
    module: nn.Module, encoder: Encoder, path: Path, *, names: tuple[list[str], list[str]], title: str
) -> None:
    """Write a module that takes the inputs of an encoder that is inside it.

    Raises:
        ExportError: the exporter cannot do it.
    """
    block = block_of(encoder)
    size = block * max(round(encoder.sample_rate * 2 / block), least_blocks_of(encoder))
    waveforms, num_samples = torch.randn(2, size) * 0.1, torch.tensor([size, size * 2 // 3])
    batch, blocks = torch.export.Dim("batch", min=1), torch.export.Dim("blocks", min=least_blocks_of(encoder))
    with _without_transforms(encoder):
        shapes = ({0: batch, 1: block * blocks}, {0: batch})
        write_module(module, (waveforms, num_samples), path, shapes=shapes, names=names, title=title)


def write_module(
    module: nn.Module, example: tuple[Tensor, ...], path: Path, *, shapes: Any, names: tuple[list[str], list[str]],
    title: str,
) -> None:  # fmt: skip
    """Write a module as a graph of float32, by torch's exporter.

    Args:
        module: to be written.
        example: inputs that it takes.
        path: the file.
        shapes: dimensions of the inputs that may differ, as `torch.export` has them.
        names: of inputs and outputs.
        title: what it is, for messages.

    Raises:
        ExportError: the exporter cannot do it.
    """
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                module.eval(), example, dynamic_shapes=shapes, input_names=names[0], output_names=names[1],
                opset_version=_OPSET, dynamo=True, verbose=False,
                custom_translation_table={torch.ops.aten.scaled_dot_product_attention.default: attention},
            )  # fmt: skip
        except Exception as error:  # whatever the library raises, in several paragraphs
            raise ExportError(f"torch's exporter cannot write {title} ({_reason(error)})") from error
        assert program is not None
        program.save(path, external_data=False)


@contextlib.contextmanager
def _without_transforms(encoder: Encoder) -> Iterator[None]:
    """With convolutions for Fourier transforms, which take ONNX Runtime as long as all layers of a small model."""
    found = [(parent, name, child) for parent in encoder.modules() for name, child in parent.named_children() if isinstance(child, PowerSpectrum)]  # fmt: skip  # noqa: E501
    for parent, name, child in found:
        setattr(parent, name, child.by_convolution())
    try:
        yield
    finally:
        for parent, name, child in found:
            setattr(parent, name, child)


def _reason(error: BaseException) -> str:
    """The innermost cause in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's own messages about its progress and its future."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
