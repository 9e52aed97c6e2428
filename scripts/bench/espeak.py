"""Speech of espeak-ng with the times of its words, which the synthesizer reports.

    python -m scripts.bench.espeak --library /usr/lib/x86_64-linux-gnu/libespeak-ng.so.1 \\
        --texts data/ivr-it/train.jsonl --voice it --output runs/espeak-it/train.jsonl

`--texts` is a manifest, whose texts are spoken. Each line of the output has `words`: a list of word, start and end in
seconds. The start is that of the synthesizer's word event. The end is the start of the next word, or of the pause
between them. Speed and pitch vary by sentence, from a seed. With Debian's packages unpacked in a folder, set
LD_LIBRARY_PATH and `--data` to what was unpacked.
"""

from __future__ import annotations

import ctypes
import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import soundfile
import soxr

import speechxfer as sx
from speechxfer.audio import SAMPLE_RATE

_RETRIEVAL, _PHONEME_EVENTS = 1, 1  # AUDIO_OUTPUT_RETRIEVAL; espeakINITIALIZE_PHONEME_EVENTS
_END_OF_LIST, _WORD, _PHONEME = 0, 1, 7
_UTF8 = 1
_RATE, _PITCH = 1, 3
_WORDS_A_MINUTE, _PITCHES = (130, 200), (30, 70)


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", ctypes.c_char * 8),
    )  # fmt: skip


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Synthesizer:
    """A voice of espeak-ng."""

    def __init__(self, library: str, data: str | None, voice: str) -> None:
        self._library: Any = ctypes.CDLL(library)
        self.rate = self._library.espeak_Initialize(_RETRIEVAL, 0, data.encode() if data else None, _PHONEME_EVENTS)
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise sx.ConfigError(f"--voice {voice}: espeak-ng has no such voice; see espeak-ng --voices")
        self._callback = _Callback(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._samples.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        for event in itertools.takewhile(lambda one: one.type != _END_OF_LIST, (events[i] for i in itertools.count())):
            self._events.append((event.type, event.sample, event.text_position, event.length, event.id))
        return 0

    def __call__(self, text: str, speed: int, pitch: int) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
        """The waveform at 16 kHz, and (word, start, end) in seconds of each word."""
        self._samples: list[np.ndarray] = []
        self._events: list[tuple[int, int, int, int, bytes]] = []
        self._library.espeak_SetParameter(_RATE, speed, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)
        raw = text.encode()
        self._library.espeak_Synth(raw, len(raw) + 1, 0, 0, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        sound = np.concatenate(self._samples).astype(np.float32) / 32768
        return soxr.resample(sound, self.rate, SAMPLE_RATE), self._words(text, len(sound))

    def _words(self, text: str, samples: int) -> list[tuple[str, float, float]]:
        starts = [event for event in self._events if event[0] == _WORD]
        stops = sorted([*(e[1] for e in starts), *(e[1] for e in self._events if e[0] == _PHONEME and _is_pause(e[4]))])
        found = []
        for _, sample, position, length, _ in starts:
            end = next((stop for stop in stops if stop > sample), samples)
            found.append((text[position - 1 : position - 1 + length], sample / self.rate, end / self.rate))
        return found


def _is_pause(phoneme: bytes) -> bool:
    return phoneme.startswith(b"_") or not phoneme


def _matches(words: Sequence[tuple[str, float, float]], text: str) -> bool:
    """Whether the reported words are those of the text; espeak-ng joins some ("of the"), without a time between."""
    return [word for word, _, _ in words] == text.split()


@click.command(cls=sx.Command)
@click.option("--library", required=True, help="libespeak-ng.so.1")
@click.option("--data", help="Folder that holds espeak-ng-data, where it is not installed.")
@click.option("--texts", required=True, type=click.Path(path_type=Path))
@click.option("--voice", required=True, help="Such as it or en-us.")
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="The manifest; audio is written beside it."
)
@click.option("--most", type=int, help="So many sentences.")
@click.option("--seed", default=0, show_default=True)
def main(library: str, data: str | None, texts: Path, voice: str, output: Path, most: int | None, seed: int) -> None:
    """Speak texts, and write a manifest with the times of the words."""
    speak, draw, normalizer = Synthesizer(library, data, voice), random.Random(seed), sx.TextNormalizer()
    folder = output.parent / output.stem
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    sentences = sorted({normalizer(utterance.text or "") for utterance in sx.Manifest.read(texts)} - {""})
    draw.shuffle(sentences)
    for number, text in enumerate(sentences[:most]):
        sound, words = speak(text, draw.randint(*_WORDS_A_MINUTE), draw.randint(*_PITCHES))
        if not _matches(words, text):
            continue
        path = folder / f"{number:05}.wav"
        soundfile.write(path, sound, SAMPLE_RATE)
        times = [[word, round(start, 4), round(end, 4)] for word, start, end in words]
        made.append(sx.Utterance(audio=str(path.absolute()), text=text, duration=len(sound) / SAMPLE_RATE, extra={"words": times}))  # fmt: skip  # noqa: E501
    sx.Manifest(made).write(output)
    click.echo(f"{output}: {len(made)} of {len(sentences[:most])} sentences, whose words are all reported")


if __name__ == "__main__":
    main()
