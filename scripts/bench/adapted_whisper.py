"""What an adapted Whisper does at the utterances' own length, padded to 30 s, and where nothing is said.

    python -m scripts.bench.adapted_whisper RUN/model --manifest data/accented-english/test.jsonl

Sounds without speech are synthetic (none of them a training one) and Debian's music on hold, which is real music.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration

import speechxfer as sx
from recipes.ivr_prompts.prepare import fetch_debs
from scripts.bench.machine import command, describe
from speechxfer.audio import load
from speechxfer.cli.terminal import TerminalProgress
from speechxfer.data.loading import read
from speechxfer.data.non_speech import sound
from speechxfer.encoders.checkpoints import find
from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead
from speechxfer.opening import open_checkpoint
from speechxfer.storage import write_json

RESULTS = Path(__file__).parent / "results"
MUSIC = "asterisk-moh-opsound-wav"
NOISES = ("noise", "swelling noise", "hum", "knocks")
#: Far from the seeds that training draws from.
_SEED = 9_000_000_000
_CLIPS = 100
#: Utterances compared with what `generate` writes.
_COMPARED = 40


def padded(name: str) -> sx.SpeechModel:
    """The model as Whisper was trained: 30 s, all of which are attended to."""
    opened = open_checkpoint(find(name), pad_to_30s=True)
    head = cast(WhisperSeq2SeqHead, opened.head)
    head.attend_everything = True
    return sx.SpeechModel(opened.encoder, head, opened.source).eval()


def wer(model: sx.SpeechModel, manifest: sx.Manifest, normalizer: str) -> dict[str, Any]:
    """The error rate with its interval."""
    evaluation = sx.evaluate(model, manifest, sx.TextNormalizer(normalizer), progress=TerminalProgress())
    return evaluation.to_dict(num_worst=0)


def silences() -> Iterator[np.ndarray]:
    """Digital silence, or nearly so."""
    yield from (sound("silence", 0.5 + number % 20 / 2, _SEED + number) for number in range(_CLIPS))


def noises() -> Iterator[np.ndarray]:
    """Noise, steady and not, hum and knocks."""
    for number in range(_CLIPS):
        yield sound(NOISES[number % len(NOISES)], 0.5 + number % 20 / 2, _SEED + number)


def music() -> Iterator[np.ndarray]:
    """Pieces of 1 to 10 s from all over the music on hold."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "music"
        folder.mkdir()
        if not fetch_debs([MUSIC], Path(work), folder):
            raise click.ClickException(f"{MUSIC} could not be fetched; it needs a Debian with its package lists")
        pieces = [load(path) for path in sorted(folder.rglob("*.wav"))]
    chance = np.random.default_rng(_SEED)
    for number in range(_CLIPS):
        piece = pieces[number % len(pieces)]
        size = int(chance.uniform(1, 10) * 16_000)
        begin = int(chance.integers(0, len(piece) - size))
        yield piece[begin : begin + size]


class Theirs:
    """The same folder in transformers."""

    def __init__(self, name: str) -> None:
        self.model = WhisperForConditionalGeneration.from_pretrained(name)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(name)
        self.extractor = WhisperFeatureExtractor.from_pretrained(name)

    def tokens(self, waveform: np.ndarray, **options: Any) -> Any:
        """What `generate` writes."""
        features = self.extractor(waveform, sampling_rate=16_000, return_tensors="pt").input_features
        return self.model.generate(features, **options)[0]

    def says(self, waveform: np.ndarray, text: str) -> bool:
        """Whether it writes this, letter by letter."""
        written: str = self.tokenizer.decode(self.tokens(waveform), skip_special_tokens=True)
        return written.strip() == text

    def ends_with(self, waveform: np.ndarray) -> bool:
        """Whether the times it writes end within half a second of the sound's end."""
        tokens = self.tokens(waveform, return_timestamps=True)
        found = self.tokenizer.decode(tokens, output_offsets=True, skip_special_tokens=True)["offsets"]
        return bool(found) and abs(found[-1]["timestamp"][1] - len(waveform) / 16_000) <= 0.5


@click.command()
@click.argument("model")
@click.option("--manifest", type=click.Path(path_type=Path), required=True, help="Speech to measure on.")
@click.option("--normalizer", default="whisper-english", show_default=True)
@click.option("--every", default=1, show_default=True, help="Only every nth utterance.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the figures here as JSON.")
def main(model: str, manifest: Path, normalizer: str, every: int, output: Path | None) -> None:
    own_length = sx.SpeechModel.load(model)
    record: dict[str, Any] = {"utterances_without_a_word": {}}
    for name, clips in {"silence": silences, "noise": noises, "music": music}.items():
        texts = [own_length.recognize([clip])[0].text for clip in clips()]
        record["utterances_without_a_word"][name] = f"{texts.count('')} of {len(texts)}"
        click.echo(f"{name}: nothing written for {texts.count('')} of {len(texts)}; else {[t for t in texts if t][:5]}")
    data = sx.Manifest.read(manifest)[::every]
    for name, opened in {"own_length": own_length, "padded": padded(model)}.items():
        record[name] = wer(opened, data, normalizer)
        click.echo(f"{name}: WER {record[name]['wer']:.4f}")
    few = data[:: max(1, len(data) // _COMPARED)][:_COMPARED]
    theirs, ours, waveforms = Theirs(model), padded(model), list(map(read, few))
    greedy = sx.DecodingOptions(beams=1)  # as `generate` decodes
    equal = sum(theirs.says(waveform, ours.recognize([waveform], greedy)[0].text) for waveform in waveforms)
    ended = sum(map(theirs.ends_with, waveforms))
    record["equal_to_generate"] = f"{equal} of {len(few)}"
    record["times_that_end_with_the_sound"] = f"{ended} of {len(few)}"
    click.echo(f"as transformers' generate writes it: {equal}; its times end with the sound: {ended} of {len(few)}")
    if output:
        write_json(output, record | {"utterances": len(data), "machine": describe(), "command": command()})


if __name__ == "__main__":
    main()
