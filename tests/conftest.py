"""What tests share: no network, tiny models, synthetic sound."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from filelock import FileLock
from hypothesis import settings

# A shared machine may be slow at any moment; that is no failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

TONES_HZ = {"a": 300.0, "b": 700.0, "c": 1300.0}


def tone(text: str, *, rate: int = 16_000) -> np.ndarray:
    """A language that a tiny model learns in seconds: each letter a tone of its own, a blank a pause."""
    pieces = [np.zeros(rate // 20)]
    for letter in text:
        size = rate // 8
        time = np.arange(size) / rate
        wave = 0.3 * np.sin(2 * np.pi * TONES_HZ[letter] * time) if letter != " " else np.zeros(size)
        pieces += [wave * np.hanning(size), np.zeros(rate // 40)]
    return np.concatenate(pieces).astype(np.float32)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny tensors are faster without a team of threads, and bit for bit the same everywhere."""
    import torch

    torch.set_num_threads(1)


@contextlib.contextmanager
def made_once(factory: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """A folder that all test processes share, and whether this one is to fill it; the others wait meanwhile."""
    root = factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    with FileLock(root / f"{name}.lock"):
        is_new = not (root / f"{name}.complete").exists()
        (root / name).mkdir(exist_ok=True)
        yield root / name, is_new
        (root / f"{name}.complete").touch()


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[..., Path]:
    """Writes a manifest of tones with the given texts, and the audio it names."""

    def write(name: str, texts: list[str]) -> Path:
        folder = tmp_path / "corpus"
        folder.mkdir(exist_ok=True)
        lines = []
        for number, text in enumerate(texts):
            audio = f"{name}{number}.wav"
            soundfile.write(folder / audio, tone(text), 16_000)
            lines.append(json.dumps({"audio": audio, "text": text}))
        path = folder / f"{name}.jsonl"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def whisper_config() -> dict[str, object]:
    """Whisper in 30,000 parameters."""
    return {
        "model_type": "whisper", "vocab_size": 100, "d_model": 32, "num_mel_bins": 80,
        "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
        "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_source_positions": 1500, "max_target_positions": 32,
        "bos_token_id": 98, "eos_token_id": 98, "pad_token_id": 98, "decoder_start_token_id": 99,
        "suppress_tokens": [], "begin_suppress_tokens": [],
    }  # fmt: skip


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory, whisper_config: dict[str, object]) -> Path:
    """A tiny random Whisper as `transformers` saves it, without a tokenizer."""
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("whisper")
    model = WhisperForConditionalGeneration(WhisperConfig(**whisper_config))
    # At the library's initial scale a tiny stack hardly tells inputs apart; make differences visible.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3.0)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def spelling_whisper(tmp_path_factory: pytest.TempPathFactory, whisper_folder: Path) -> Path:
    """The tiny Whisper with a tokenizer that spells the language of tones."""
    from tokenizers import AddedToken, Regex, Tokenizer
    from tokenizers.decoders import Fuse
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split

    folder = tmp_path_factory.mktemp("spelling")
    for file in whisper_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tokenizer = Tokenizer(WordLevel({" ": 0, "a": 1, "b": 2, "c": 3}, unk_token=" "))
    tokenizer.pre_tokenizer = Split(Regex("."), "isolated")  # type: ignore[assignment]
    tokenizer.decoder = Fuse()  # type: ignore[assignment]
    special = [
        "endoftext",
        "startoftranscript",
        "en",
        "translate",
        "transcribe",
        "startofprev",
        "nospeech",
        "notimestamps",
    ]
    tokenizer.add_special_tokens([AddedToken(f"<|{name}|>", special=True) for name in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """The cache's folder of a model, made of files of another folder."""

    import huggingface_hub

    def make(name: str, source: Path) -> Path:
        model = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        (model / "refs").mkdir(parents=True)
        (model / "refs" / "main").write_text("0" * 40)
        return shutil.copytree(source, model / "snapshots" / ("0" * 40))

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return make
