"""What every family promises, tried with tiny random models; beside it, what the reference itself does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

import speechxfer as sx
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.encoders import restore_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import find
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.model import SpeechModel
from speechxfer.opening import open_checkpoint
from tests.families import tiny_fastconformer, tiny_moonshine, tiny_wav2vec2, tiny_wav2vec2_bert, tiny_whisper
from tests.families.tiny import Tiny, noise
from tests.training.conftest import Runs, interrupted, texts

#: What references do to torch: WavLM gives it masks of two types, MedASR an even kernel to be centered.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask and attn_mask"),
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
]

TOLERANCE = 1e-4
MODELS = [
    *tiny_wav2vec2.MODELS, *tiny_wav2vec2_bert.MODELS, *tiny_whisper.MODELS, *tiny_fastconformer.MODELS,
    *tiny_moonshine.MODELS,
]  # fmt: skip
#: The first is what is looked at; the others stand beside it.
WAVEFORMS = [noise(12_345, 1), noise(33_333, 2), noise(40_000, 3)]


@pytest.fixture(scope="module", params=MODELS, ids=lambda tiny: tiny.name)
def tiny(request: pytest.FixtureRequest) -> Tiny:
    found: Tiny = request.param
    return found


@pytest.fixture(scope="module")
def reference(tiny: Tiny) -> Any:
    return tiny.build()


@pytest.fixture(scope="module")
def folder(tiny: Tiny, reference: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(tiny.name)
    tiny.save(reference, path)
    return path


@pytest.fixture
def encoder(tiny: Tiny, folder: Path) -> Encoder:
    found = open_checkpoint(find(str(folder)), **tiny.options).encoder.eval()
    found.set_dropout(0.0)
    return found


@torch.no_grad()
def states(encoder: Encoder, waveforms: Sequence[np.ndarray]) -> list[Tensor]:
    """Hidden states at the top [frames, width] of each waveform, computed in one batch."""
    found, num_frames = encoder(*encoder.collate(waveforms))
    assert torch.isfinite(found).all()
    return [row[:count] for row, count in zip(found, num_frames.tolist(), strict=True)]


def moves(compute: Callable[[Sequence[np.ndarray]], list[Tensor]]) -> float:
    """By how much the first waveform's hidden states change beside the others, relative to their mean magnitude."""
    with torch.no_grad():
        (alone,), together = compute(WAVEFORMS[:1]), compute(WAVEFORMS)[0]
    assert alone.shape == together.shape
    return float((alone - together).abs().max() / alone.abs().mean())


def test_hidden_states_are_those_of_transformers(tiny: Tiny, reference: Any, encoder: Encoder) -> None:
    for waveform in WAVEFORMS:
        with torch.no_grad():
            (expected,) = tiny.states(reference, [waveform])
        (found,) = states(encoder, [waveform])
        assert found.shape == expected.shape
        assert expected.std() > 0.1
        assert (found - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_neighbors_and_padding_change_nothing(encoder: Encoder, training: bool) -> None:
    encoder.train(training)
    assert moves(lambda waveforms: states(encoder, waveforms)) < TOLERANCE


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_the_reference_moves_by_so_much(tiny: Tiny, reference: Any, training: bool) -> None:
    """Not ours to keep: it shows what the promise is worth, and that the test above can fail."""
    reference.train(training)
    moved = moves(lambda waveforms: tiny.states(reference, waveforms))
    reference.eval()
    expected = tiny.moves[training]
    assert moved < 1e-5 if expected < 1e-5 else expected / 4 < moved < expected * 4


def test_short_waveforms_and_silence_come_out_finite_and_alike(encoder: Encoder) -> None:
    waveforms = [noise(length, length) for length in (16_000, 400, 7, 5_000, 1_600, 30_000)] + [np.zeros(9_000, "f4")]
    for together, waveform in zip(states(encoder, waveforms), waveforms, strict=True):
        (alone,) = states(encoder, [waveform])
        assert len(alone) == encoder.output_frames(encoder.num_frames(len(waveform)))
        assert alone.shape == together.shape
        if len(alone):
            assert (alone - together).abs().max() < TOLERANCE * max(float(alone.abs().mean()), 1.0)


def test_running_in_two_parts_is_running_at_once(encoder: Encoder) -> None:
    with torch.no_grad():
        hidden, num_frames = encoder.frontend(*encoder.collate(WAVEFORMS))
        assert hidden.shape[2] == encoder.width_at(0)
        whole = encoder.run(hidden, num_frames, 0, encoder.depth)
        for seam in range(encoder.depth + 1):
            below = encoder.run(hidden, num_frames, 0, seam)
            assert below.shape[2] == encoder.width_at(seam)
            assert torch.equal(whole, encoder.run(below, num_frames, seam, encoder.depth)), seam


def test_every_parameter_that_can_be_trained_belongs_to_one_group(encoder: Encoder) -> None:
    grouped = [id(parameter) for group in encoder.layer_groups() for parameter in group.parameters()]
    trainable = [id(parameter) for parameter in encoder.parameters() if parameter.requires_grad]
    assert sorted(grouped) == sorted(trainable)


def digest(module: Encoder, names: set[str]) -> str:
    """Of the weights and statistics of these names."""
    state = module.state_dict()
    return hashlib.sha256(b"".join(state[name].numpy().tobytes() for name in sorted(names))).hexdigest()


@pytest.mark.parametrize("seam", [0, 1])
def test_what_is_frozen_stays_as_it_is(encoder: Encoder, seam: int) -> None:
    encoder.set_dropout(0.5)
    frozen = [group for group in encoder.layer_groups() if group.seam <= seam]
    encoder.freeze(frozen)
    torch.nn.Sequential(encoder).train()
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    below = encoder.state_dict().keys() - trained
    before, above = digest(encoder, below), digest(encoder, trained)
    optimizer = torch.optim.AdamW((p for p in encoder.parameters() if p.requires_grad), lr=1e-2)
    for _ in range(2):
        hidden, num_frames = encoder.frontend(*encoder.collate(WAVEFORMS[:2]))
        lower, again = (encoder.run(hidden, num_frames, 0, seam) for _ in range(2))
        assert torch.equal(lower, again)
        assert not lower.requires_grad
        encoder.run(lower, num_frames, seam, encoder.depth).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    # Statistics of a norm over batches are no parameters, and stay as well.
    assert digest(encoder, below) == before
    assert digest(encoder, trained) != above


def test_a_description_is_enough_to_build_it_again(encoder: Encoder) -> None:
    described = json.loads(json.dumps(encoder.describe()))
    rebuilt = restore_encoder(described).eval()
    rebuilt.load_state_dict(encoder.state_dict())
    assert rebuilt.describe() == encoder.describe()
    for found, expected in zip(states(rebuilt, WAVEFORMS), states(encoder, WAVEFORMS), strict=True):
        assert torch.equal(found, expected)


def test_a_saved_model_opens_here_and_in_transformers_with_the_same_logits(
    encoder: Encoder, folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    vocabulary = Characters(list(" 'abc"))
    head = CTCHead(encoder.width, encoder.output_frame_rate, vocabulary, TextNormalizer("basic"))
    torch.nn.init.normal_(head.projection.weight)
    model = SpeechModel(encoder, head, str(folder)).eval()
    model.save(tmp_path / "model")
    with torch.inference_mode():
        ours = head.projection(states(encoder, WAVEFORMS[:1])[0])
        opened = sx.load(str(tmp_path / "model"), device="cpu")
        assert torch.equal(ours, opened.head.projection(states(opened.encoder, WAVEFORMS[:1])[0]))  # type: ignore[operator, union-attr]
        if "ctc" not in encoder.architectures:
            assert not (tmp_path / "model" / "config.json").exists()
            return
        extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path / "model")
        inputs = extractor(WAVEFORMS[0], sampling_rate=16_000, return_tensors="pt")
        theirs, found = transformers.AutoModelForCTC.from_pretrained(tmp_path / "model", output_loading_info=True)
        assert not found["missing_keys"]
        assert not found["unexpected_keys"]
        logits = theirs.eval()(**inputs).logits[0, : len(ours)]
    torch.testing.assert_close(ours, logits, atol=TOLERANCE, rtol=TOLERANCE)


#: One of each class of encoders; those with two kinds of norms have both.
CLASSES = {
    "wav2vec2", "wav2vec2-stable", "wavlm", "data2vec-audio", "wav2vec2-bert", "whisper", "parakeet-ctc", "moonshine",
}  # fmt: skip


@pytest.mark.parametrize(
    "tiny",
    [pytest.param(one, id=one.name, marks=[] if one.name in CLASSES else [pytest.mark.slow]) for one in MODELS],
    indirect=True,
    scope="module",
)
def test_a_run_that_was_interrupted_ends_with_the_same_losses(
    tiny: Tiny, folder: Path, corpus: Callable[..., Path], tmp_path: Path
) -> None:
    splits = {name: str(corpus(name, texts(count, seed))) for name, count, seed in (("train", 12, 1), ("dev", 3, 2))}
    plan = {"train_top": 1, "encoder_lr": 1e-3, "head_lr": 1e-2}
    training = {"epochs": 2, "batch_seconds": 3.0, "dropout": 0.1, "cache_dir": str(tmp_path / "cache")}
    base = {"model": str(folder), **splits, "device": "cpu", "plan": plan, "training": training}
    # Few frames a second may be too few for characters; what is tried here is resuming.
    runs = Runs(base, tmp_path)
    runs.run("whole")
    interrupted(runs, "stopped", 3)
    runs.run("stopped", resume=True)
    assert runs.losses("stopped") == runs.losses("whole")
