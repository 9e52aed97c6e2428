"""What is trained on and from: parts of real corpora, synthetic ones, and encoders with random weights."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import torch

import speechxfer as sx

SAMPLE_RATE = 16_000
#: Lengths and texts as in speechocean762's training half: log-normal, in seconds, and letters a second.
_LOG_MEAN, _LOG_STD, _SHORTEST_S, _LONGEST_S = 1.341, 0.370, 1.6, 20.4
_LETTERS_PER_S, _LETTERS_PER_WORD = 6.9, 4.5
#: Seconds of noise that utterances are cut from.
_BANK_S = 120
#: A wav2vec2 that trains in seconds on anything, for rehearsals.
_TINY = {
    "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64,
    "conv_dim": (32,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip
#: parakeet-ctc-0.6b's encoder without what is drawn at random.
_PARAKEET = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 8, "intermediate_size": 4096,
    "conv_kernel_size": 9, "num_mel_bins": 80, "subsampling_factor": 8, "subsampling_conv_channels": 256,
    "dropout": 0.0, "activation_dropout": 0.0, "attention_dropout": 0.0, "layerdrop": 0.0,
}  # fmt: skip
_TINY_PARAKEET = {
    "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64,
    "subsampling_conv_channels": 8,
}  # fmt: skip


def part(manifest: str, count: int | None, path: Path) -> sx.Manifest:
    """Every nth utterance so that `count` remain, all of them with None; written to `path`."""
    whole = sx.Manifest.read(manifest)
    chosen = whole if count is None else whole[:: max(1, len(whole) // count)][:count]
    chosen.write(path)
    return sx.Manifest.read(path).with_durations()


def wav2vec2(folder: Path, *, tiny: bool) -> str:
    """A folder with wav2vec2-base as `transformers` saves it, its weights random; speed does not depend on them."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config(**(_TINY if tiny else {}))).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(return_attention_mask=False, do_normalize=True).save_pretrained(folder)
    return str(folder)


def fastconformer(folder: Path, *, tiny: bool) -> str:
    """A folder with an encoder of parakeet-ctc-0.6b's shape as `transformers` saves it, its weights random."""
    from transformers import ParakeetEncoder, ParakeetEncoderConfig, ParakeetFeatureExtractor
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.manual_seed(0)
    config = ParakeetEncoderConfig(**_PARAKEET | (_TINY_PARAKEET if tiny else {}))
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):  # a CPU draws the weights in half a minute
        ParakeetEncoder(config).save_pretrained(folder)
    ParakeetFeatureExtractor().save_pretrained(folder)
    return str(folder)


def synthetic(folder: Path, count: int, *, seed: int) -> str:
    """A manifest of noise with random words, in WAV files; lengths and texts are distributed as in read speech."""
    chance = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    utterances, noise = [], _noise(_BANK_S * SAMPLE_RATE, chance)
    for number in range(count):
        duration_s = float(np.clip(chance.lognormal(_LOG_MEAN, _LOG_STD), _SHORTEST_S, _LONGEST_S))
        num_samples = round(duration_s * SAMPLE_RATE)
        name = f"{number:05}.wav"
        start = int(chance.integers(len(noise) - num_samples))
        _write_wav(folder / name, noise[start : start + num_samples])
        exact_s = num_samples / SAMPLE_RATE
        utterances.append(sx.Utterance(audio=str(folder / name), text=_text(exact_s, chance), duration=exact_s))
    path = folder / "manifest.jsonl"
    sx.Manifest(utterances).write(path)
    return str(path)


def _noise(num_samples: int, chance: np.random.Generator) -> np.ndarray:
    """Noise that swells and fades about four times a second, as syllables do."""
    swell = 0.5 + 0.5 * np.sin(2 * np.pi * 4.0 * np.arange(num_samples) / SAMPLE_RATE)
    noise: np.ndarray = 0.1 * swell * chance.standard_normal(num_samples)
    return noise


def _write_wav(path: Path, waveform: np.ndarray) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((waveform.clip(-1, 1) * 32767).astype("<i2").tobytes())


def _text(duration_s: float, chance: np.random.Generator) -> str:
    letters = [chr(ord("a") + number) for number in chance.integers(26, size=round(duration_s * _LETTERS_PER_S))]
    ends = chance.random(len(letters)) < 1 / (_LETTERS_PER_WORD + 1)
    return " ".join("".join(" " if end else letter for letter, end in zip(letters, ends, strict=True)).split()) or "a"
