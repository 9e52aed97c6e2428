"""Threads that share one model, each with options of its own, get what one thread gets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import WhisperConfig

import speechxfer as sx
from speechxfer.data.text import TextNormalizer
from speechxfer.data.vocabulary import Characters
from speechxfer.encoders.checkpoints import find
from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead
from speechxfer.families.whisper.encoder import WhisperEncoder
from speechxfer.families.whisper.tokens import WhisperTokens
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.inference import Transcript
from speechxfer.model import SpeechModel
from speechxfer.opening import open_checkpoint

RATE = 16_000
OPTIONS = (
    sx.DecodingOptions(),
    sx.DecodingOptions(language="it", temperature=0),
    sx.DecodingOptions(language="en", task="translate", temperature=0),
    sx.DecodingOptions(beams=2, language="it", temperature=0),
    sx.DecodingOptions(beams=5, language="en", temperature=0),
    sx.DecodingOptions(prompt="w3 w4", language="it", temperature=0),
    sx.DecodingOptions(temperature=(0.7,)),
    sx.DecodingOptions(beams=3, prompt="w9", language="Italian", temperature=(0.0, 1.0)),
)


@pytest.fixture(scope="module")
def whisper(whisper_config: dict[str, object]) -> SpeechModel:
    """A tiny random Whisper that knows two languages and both tasks."""
    tokenizer = Tokenizer(WordLevel({f"w{number}": number for number in range(90)}, unk_token="w0"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    names = ("endoftext", "startoftranscript", "en", "it", "translate", "transcribe", "startofprev", "notimestamps")
    tokenizer.add_special_tokens([AddedToken(f"<|{name}|>", special=True) for name in names])
    torch.manual_seed(1)
    config = WhisperConfig(**{**whisper_config, "vocab_size": 100})
    head = WhisperSeq2SeqHead(config, WhisperTokens(tokenizer, 100, {"is_multilingual": True}))
    model = SpeechModel(WhisperEncoder(config), head, "random").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(16.0 if parameter.ndim > 1 else 1.0)  # so that one input differs from another
    return model


@pytest.fixture(scope="module")
def ctc() -> SpeechModel:
    encoder = open_checkpoint(find("wav2vec2-nano")).encoder
    torch.manual_seed(0)
    head = CTCHead(encoder.width, encoder.output_frame_rate, Characters(["a", "b", " "]), TextNormalizer())
    return SpeechModel(encoder, head, "wav2vec2-nano").eval()


def sounds(count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [generator.standard_normal(int(RATE * seconds)) * 0.1 for seconds in np.linspace(0.5, 1.5, count)]


def together(calls: Sequence[Callable[[], Transcript]]) -> list[list[Transcript]]:
    """Each call twice in a thread of its own, all started at the same moment."""
    start = threading.Barrier(len(calls))

    def work(call: Callable[[], Transcript]) -> list[Transcript]:
        start.wait()
        return [call() for _ in range(2)]

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(work, calls))


@pytest.mark.slow
def test_eight_threads_with_eight_options_on_one_whisper(whisper: SpeechModel) -> None:
    (sound,) = sounds(1)
    calls = [partial(whisper.transcribe, sound, sample_rate=RATE, options=options, vad="none") for options in OPTIONS]
    alone = [call() for call in calls]
    assert len({one.text for one in alone}) == 8  # so that options of another thread would show
    state = {name: value.clone() for name, value in whisper.state_dict().items()}
    assert together(calls) == [[one] * 2 for one in alone]
    assert [call() for call in calls] == alone
    assert all(torch.equal(value, state[name]) for name, value in whisper.state_dict().items())


def test_eight_threads_on_one_ctc_model(ctc: SpeechModel) -> None:
    options = [sx.DecodingOptions(word_times=number % 2 == 0) for number in range(8)]
    pairs = zip(sounds(8), options, strict=True)
    calls = [partial(ctc.transcribe, sound, sample_rate=RATE, options=one, vad="none") for sound, one in pairs]
    alone = [call() for call in calls]
    assert len({one.text for one in alone}) == 8
    assert [bool(one.segments[0].words) for one in alone] == [True, False] * 4
    assert together(calls) == [[one] * 2 for one in alone]


def test_threads_with_a_file_each(ctc: SpeechModel, tmp_path: Path) -> None:
    import soundfile

    paths = [tmp_path / f"{number}.wav" for number in range(4)]
    for path, sound in zip(paths, sounds(4), strict=True):
        soundfile.write(path, sound, RATE)
    calls = [partial(ctc.transcribe, path, vad="none") for path in paths]
    assert together(calls) == [[call()] * 2 for call in calls]
