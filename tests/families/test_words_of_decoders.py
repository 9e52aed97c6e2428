"""Words of decoders: within the recording, one after the other, none of no length, and the same in a batch."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

from speechxfer.decoding.options import DecodingOptions
from speechxfer.decoding.search import TokenSequence
from speechxfer.encoders.checkpoints import find
from speechxfer.heads.seq2seq import head as seq2seq
from speechxfer.model import SpeechModel
from speechxfer.opening import OWN, open_checkpoint
from tests.encoders.conftest import noise
from tests.families.tiny_moonshine import moonshine
from tests.families.tiny_moonshine import save as save_moonshine
from tests.families.whisper.test_whisper_checkpoint import tokenizer, whisper

#: Seconds: a few frames, odd numbers of samples, and a pause of half a second in the last two.
LENGTHS = [0.05, 0.1, 0.73, 1.50013, 2.0]


def save_whisper(model: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    WhisperFeatureExtractor().save_pretrained(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {family: tmp_path_factory.mktemp(family) for family in ("whisper", "moonshine")}
    save_whisper(whisper(WhisperForConditionalGeneration), found["whisper"])
    save_moonshine(moonshine(), found["moonshine"])
    return found


def opened(folder: Path, **encoder: Any) -> SpeechModel:
    found = open_checkpoint(find(str(folder)), head=OWN, **encoder)
    assert found.head is not None
    found.head.frame_rate = found.encoder.output_frame_rate
    return SpeechModel(found.encoder, found.head, "").eval()


def written(head: Any, seed: int) -> list[TokenSequence]:
    """Words of random letters for each sound."""
    draw = random.Random(seed)
    texts = ["".join(draw.choice("abcdeht ") for _ in range(draw.randint(1, 30))) for _ in LENGTHS]
    tokens = [tuple(head.tokens.spell(text)) for text in texts]
    return [TokenSequence(row, tuple(-draw.random() for _ in row), ended=False) for row in tokens]


def sounds() -> list[np.ndarray]:
    found = [noise(round(seconds * 16_000)) for seconds in LENGTHS]
    for sound in found[-2:]:
        sound[4000:12_000] *= 0.0005
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("family", "encoder"), [("whisper", {}), ("whisper", {"pad_to_30s": False}), ("moonshine", {})]
)  # fmt: skip
def test_words_of_random_models(
    folders: dict[str, Path], family: str, encoder: dict[str, Any], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, waveforms = opened(folders[family], **encoder), sounds()
    texts = written(model.head, seed)
    pending = iter([*texts, *texts])

    def search(scorer: Any, prompt: torch.Tensor, **_options: Any) -> list[TokenSequence]:
        scorer(prompt)
        return [next(pending) for _ in prompt]

    monkeypatch.setattr(seq2seq, "search", search)
    monkeypatch.setattr(seq2seq, "with_fallback", lambda first, *_retry, **_options: first)
    found = model.recognize(waveforms)
    assert any(len(one.words) > 2 for one in found)
    for one, waveform in zip(found, waveforms, strict=True):
        assert [word.text for word in one.words] == one.text.split()
        times = [0.0, *(time for word in one.words for time in (word.start, word.end)), len(waveform) / 16_000]
        assert all(first <= second for first, second in pairwise(times))
        assert all(word.end > word.start and 0 < (word.confidence or 0) <= 1 for word in one.words)
    for one, waveform in zip(found, waveforms, strict=True):
        (alone,) = model.recognize([waveform])
        assert [word.start for word in one.words] == [word.start for word in alone.words]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["whisper", "moonshine"])
def test_texts_that_were_sampled_do_not_depend_on_the_batch(folders: dict[str, Path], family: str) -> None:
    model = opened(folders[family], **({"pad_to_30s": False} if family == "whisper" else {}))
    waveforms = [*sounds(), *sounds()[::-1]]
    options = DecodingOptions(temperature=(1.0, 1.5), word_times=False)
    together = [one.text for one in model.recognize(waveforms, options)]
    assert together[: len(LENGTHS)] == together[len(LENGTHS) :][::-1]
    assert together == [model.recognize([waveform], options)[0].text for waveform in waveforms]
    assert len(set(together)) > 1
