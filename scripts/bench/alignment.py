"""How well words are aligned: with times that a synthesizer reports, and for an hour with an imperfect script.

    python -m scripts.bench.alignment words --model MODEL --data runs/espeak-it/test.jsonl
    python -m scripts.bench.alignment script --model MODEL --data data/ivr-it/train.jsonl --folder runs/hour

`words` takes what `scripts.bench.espeak` writes. `script` joins utterances, without the silence around their sound,
with silence of 0.2 to 2 s between them, until they last as long as wanted; the joins are known. Of the script one word
in ten is replaced by another one, and utterances with one word in twenty are left out. Printed are boundaries of
utterances within 50 ms, precision and recall for replaced words (those that were not found) and for utterances without
text, times, and memory. Words that are not found with the right script either, because a transcript is wrong or the
model does not know them, are counted, and figures without them are `clear`.
"""

from __future__ import annotations

import json
import random
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import soundfile

import speechxfer as sx
from speechxfer.alignment.aligning import alignment
from speechxfer.alignment.emissions import Emissions, fill
from speechxfer.alignment.paths import Prices, find_path
from speechxfer.alignment.script import Line, Script
from speechxfer.audio import SAMPLE_RATE, blocks, load

_NEAR_S = 0.05
_EDGE_DB = 35.0
_LONGEST_MISSING = 12  # words


@click.group()
def main() -> None:
    """Measure alignment."""


@main.command()
@click.option("--model", required=True)
@click.option("--data", required=True, help="Manifest with a column `words`: word, start and end of each.")
@click.option("--silence", default=0.5, show_default=True, help="Seconds of it before and after each utterance.")
def words(model: str, data: str, silence: float) -> None:
    """Boundaries of words within 50 ms of those that are known."""
    loaded, errors = sx.load(model), []
    around = np.zeros(round(silence * SAMPLE_RATE), np.float32)
    for utterance in sx.Manifest.read(data):
        samples = np.concatenate([around, load(utterance.source), around])
        found = sx.align(loaded, samples, utterance.text or "", sample_rate=SAMPLE_RATE, least_matched=0.0)
        known = {(place, word): (start, end) for place, (word, start, end) in enumerate(utterance.extra["words"])}
        errors += list(_differences(found, known, silence))
    starts, ends = np.array(errors).T
    found_words = len(errors)
    total = sum(len((utterance.text or "").split()) for utterance in sx.Manifest.read(data))
    print(json.dumps({"words": total, "found": found_words, "starts": _spread(starts), "ends": _spread(ends)}))


def _differences(
    found: sx.Alignment, known: dict[tuple[int, str], tuple[float, float]], offset: float
) -> Iterator[tuple[float, float]]:
    """Of starts and ends; words that were skipped are passed over."""
    times = sorted(known.items())
    place = 0
    for segment in found.transcript.segments:
        for word in segment.words:
            place = next(index for index in range(place, len(times)) if times[index][0][1] == word.text)
            start, end = times[place][1]
            place += 1
            yield word.start - offset - start, word.end - offset - end


def _spread(errors: np.ndarray) -> dict[str, Any]:
    return {
        "within 50 ms": round(float((np.abs(errors).round(3) <= _NEAR_S).mean()), 4),
        "percentiles 2.5, 50, 97.5": np.round(np.percentile(errors, [2.5, 50, 97.5]), 3).tolist(),
    }


@dataclass(frozen=True)
class _Said:
    start: float
    end: float
    text: str


@main.command()
@click.option("--model", required=True)
@click.option("--data", "manifests", required=True, multiple=True, help="Manifests whose utterances are joined.")
@click.option("--seconds", default=3600.0, show_default=True)
@click.option("--folder", required=True, type=click.Path(path_type=Path), help="Where the recording is written.")
@click.option("--seed", default=0, show_default=True)
def script(model: str, manifests: Sequence[str], seconds: float, folder: Path, seed: int) -> None:
    """A long recording with a script of which words are wrong and missing."""
    empty = _memory_mb()
    draw = random.Random(seed)
    said = _joined([one for path in manifests for one in sx.Manifest.read(path)], seconds, folder / "joined.wav", draw)
    lines, wrong, missing = _imperfect(said, draw)
    loaded = sx.load(model)
    written = loaded.traits.symbol_texts
    figures: dict[str, Any] = {"memory in MB": {"empty": empty, "model": _memory_mb()}}
    with Emissions(range(len(written)), 1 / loaded.traits.frame_rate) as emissions:
        begun = time.monotonic()
        fill(emissions, loaded, blocks(folder / "joined.wav"))
        figures |= {"seconds": round(emissions.duration), "encoder s": round(time.monotonic() - begun, 1)}
        figures["memory in MB"]["encoder"] = _memory_mb()
        texts = Script([Line(text) for _, text in lines], loaded.traits)
        begun = time.monotonic()
        path = find_path(emissions, texts, written)
        found = alignment(emissions, texts, path, written, Prices())
        figures |= {"alignment s": round(time.monotonic() - begun, 1), "words": len(texts)}
        figures["memory in MB"]["alignment"] = _memory_mb()
        right = Script([Line(one.text) for one in said], loaded.traits)
        known = _found(find_path(emissions, right, written).word, right)
        figures["boundaries"] = _boundaries(
            alignment(emissions, right, find_path(emissions, right, written), written, Prices()), said
        )
    figures |= _wrong_words(_found(path.word, texts), wrong, _unclear(known, right, lines, wrong))
    figures |= _missing(found, said, missing, {line for (line, _), bad in zip(lines, wrong, strict=True) if any(bad)})
    print(json.dumps(figures, indent=1))


def _joined(utterances: list[sx.Utterance], seconds: float, path: Path, draw: random.Random) -> list[_Said]:
    """Write the recording; returns what is said in it, and when."""
    said: list[_Said] = []
    noise = np.random.default_rng(0)
    at = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1) as file:
        while at < seconds * SAMPLE_RATE:
            draw.shuffle(utterances)
            for utterance in utterances:
                silence = 1e-4 * noise.standard_normal(round(draw.uniform(0.2, 2.0) * SAMPLE_RATE))
                sound = _sounding(load(utterance.source, start=utterance.start, duration=utterance.duration))
                file.write(np.concatenate([silence, sound]))
                start = at + len(silence)
                at = start + len(sound)
                said.append(_Said(start / SAMPLE_RATE, at / SAMPLE_RATE, utterance.text or ""))
                if at >= seconds * SAMPLE_RATE:
                    break
    return said


def _sounding(samples: np.ndarray) -> np.ndarray:
    """Without what is much quieter than the loudest 10 ms, at either end."""
    hop = SAMPLE_RATE // 100
    levels = 10 * np.log10(np.mean(samples[: len(samples) // hop * hop].reshape(-1, hop) ** 2, axis=1) + 1e-10)
    loud = np.flatnonzero(levels > levels.max() - _EDGE_DB)
    return samples[loud[0] * hop : (loud[-1] + 1) * hop]


def _imperfect(said: Sequence[_Said], draw: random.Random) -> tuple[list[tuple[int, str]], list[list[bool]], set[int]]:
    """The lines with what they are of, which of their words are wrong, and what is missing."""
    vocabulary = sorted({word for one in said for word in one.text.split()})
    total = sum(len(one.text.split()) for one in said)
    missing: set[int] = set()
    count = 0
    for place in draw.sample(range(len(said)), len(said)):
        size = len(said[place].text.split())
        if size <= _LONGEST_MISSING and count + size <= total // 20:
            missing.add(place)
            count += size
    lines, wrong = [], []
    for place, one in enumerate(said):
        if place not in missing:
            pairs = [_replaced(word, vocabulary, draw) for word in one.text.split()]
            lines.append((place, " ".join(word for word, _ in pairs)))
            wrong.append([bad for _, bad in pairs])
    return lines, wrong, missing


def _replaced(word: str, vocabulary: Sequence[str], draw: random.Random) -> tuple[str, bool]:
    if draw.random() >= 0.1:
        return word, False
    return draw.choice([other for other in draw.sample(vocabulary, 2) if other != word]), True


def _found(words: np.ndarray, texts: Script) -> np.ndarray:
    """[words] whether each was found."""
    found = np.zeros(len(texts), bool)
    found[words[words >= 0]] = True
    return found


def _unclear(known: np.ndarray, right: Script, lines: list[tuple[int, str]], wrong: list[list[bool]]) -> np.ndarray:
    """[words] whether the right word in the place of each is not found with the right script."""
    first = np.searchsorted(right.line, np.arange(len(right.lines)))
    return np.array(
        [not known[first[line] + at] for (line, _), bad in zip(lines, wrong, strict=True) for at in range(len(bad))]
    )


def _wrong_words(found: np.ndarray, wrong: list[list[bool]], unclear: np.ndarray) -> dict[str, Any]:
    bad = np.array([one for line in wrong for one in line])
    return {
        "wrong words": {**_scores(~found, bad), "count": int(bad.sum())},
        "unclear words": int(unclear.sum()),
        "wrong words, clear": _scores(~found[~unclear], bad[~unclear]),
    }


def _scores(flagged: np.ndarray, bad: np.ndarray) -> dict[str, float]:
    right = float((flagged & bad).sum())
    return {"precision": round(right / max(flagged.sum(), 1), 4), "recall": round(right / max(bad.sum(), 1), 4)}


def _missing(found: sx.Alignment, said: Sequence[_Said], missing: set[int], wrong: set[int]) -> dict[str, Any]:
    """Utterances without text: at least half of one is reported; and reports that are right."""
    reported = [(one.start, one.end) for one in found.mismatches if one.kind == "no text"]
    ends = np.array([one.end for one in said])
    hits, right = dict.fromkeys(missing, 0.0), 0
    for start, end in reported:
        place = min(int(np.searchsorted(ends, (start + end) / 2)), len(said) - 1)
        right += place in missing or place in wrong
        if place in missing:
            hits[place] += end - start
    recalled = sum(seconds >= (said[place].end - said[place].start) / 2 for place, seconds in hits.items())
    return {
        "missing utterances": {
            "count": len(missing),
            "recall": round(recalled / max(len(missing), 1), 4),
            "precision": round(right / max(len(reported), 1), 4),
        }
    }


def _boundaries(found: sx.Alignment, said: Sequence[_Said]) -> dict[str, Any]:
    """Of utterances all of whose words are found, with the right script."""
    pairs = [(segment, said[line]) for segment, line in zip(found.transcript.segments, found.lines, strict=True)]
    whole = [(segment, one) for segment, one in pairs if segment.text == one.text]
    starts = np.array([segment.start - one.start for segment, one in whole])
    ends = np.array([segment.end - one.end for segment, one in whole])
    return {"utterances": len(whole), "of": len(said), "starts": _spread(starts), "ends": _spread(ends)}


def _memory_mb() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
