"""The graph of every family computes what torch computes, for any batch and length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.encoders.checkpoints import find
from speechxfer.export.onnx.graph import write_graph
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.model import SpeechModel
from speechxfer.opening import open_checkpoint
from tests.families import tiny_fastconformer, tiny_moonshine, tiny_wav2vec2, tiny_wav2vec2_bert, tiny_whisper
from tests.families.tiny import Tiny, noise

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # the exporter's own

TOLERANCE = 1e-4
#: One of each class of encoders; those with two kinds of norms have both.
NAMES = {
    "wav2vec2", "hubert-stable", "wavlm", "data2vec-audio", "wav2vec2-bert", "parakeet-ctc", "nemotron-streaming",
    "medasr", "moonshine",
}  # fmt: skip
MODELS = [
    *tiny_wav2vec2.MODELS, *tiny_wav2vec2_bert.MODELS, *tiny_whisper.MODELS, *tiny_fastconformer.MODELS,
    *tiny_moonshine.MODELS,
]  # fmt: skip


@pytest.mark.parametrize("tiny", [tiny for tiny in MODELS if tiny.name in NAMES], ids=lambda tiny: tiny.name)
def test_the_graph_computes_what_torch_computes(tiny: Tiny, tmp_path: Path) -> None:
    tiny.save(tiny.build(), tmp_path)
    encoder = open_checkpoint(find(str(tmp_path)), **tiny.options).encoder.eval()
    head = CTCHead(encoder.width, encoder.output_frame_rate, Characters(list(" abc")), TextNormalizer("basic"))
    model = SpeechModel(encoder, head, "x").eval()
    write_graph(model, tmp_path / "model.onnx")
    runtime = opened(model, tmp_path)
    for lengths in ((20_000, 33_333, 700), (16_000,), (100_123, 64_000)):
        waveforms = [noise(length, length) for length in lengths]
        outputs, num_frames = runtime.outputs(waveforms)
        for row, count, waveform in zip(outputs, num_frames.tolist(), waveforms, strict=True):
            with torch.inference_mode():
                states, frames = encoder(*encoder.collate([waveform]))
                alone = head.outputs(states, frames)[0, : int(frames)].numpy()
            assert count == len(alone)
            np.testing.assert_allclose(row[:count], alone, atol=TOLERANCE)


def opened(model: SpeechModel, folder: Path) -> Any:
    """The graph of a model in a folder, with what it takes to run it."""
    from speechxfer.export.onnx import description
    from speechxfer.runtime.model import ExportedModel

    description(model, "float32").write(folder)
    return ExportedModel.load(str(folder))
