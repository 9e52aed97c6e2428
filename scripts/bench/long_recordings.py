"""A long recording made of prompts with silence, noise and music between them, against the prompts alone.

    python -m scripts.bench.long_recordings --model runs/ivr-it/model --prompts data/ivr-it/test.jsonl \\
        --prompts data/ivr-it/dev.jsonl --music music/on-hold.wav --vad silero --vad energy --vad none

A line is printed for each `--vad`: the error rate of the prompts alone and joined; the words that are lost, changed and
invented by joining (the two transcripts aligned); the gaps in which something was invented, by what is in them; and how
many times faster than the recording it was transcribed.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

import speechxfer as sx
from speechxfer.audio import SAMPLE_RATE, Waveform, blocks
from speechxfer.data.loading import read
from speechxfer.data.non_speech import KINDS
from speechxfer.evaluation.metrics import align


@dataclass(frozen=True)
class Recording:
    """Samples, the numbers of the prompts in them, and what follows each prompt."""

    waveform: Waveform
    prompts: list[int]
    gaps: list[str]


def music(paths: Sequence[Path]) -> Waveform:
    """All files, one after the other."""
    return np.concatenate([np.empty(0, np.float32), *(block for path in paths for block in blocks(path))])


def recording(
    waveforms: Sequence[Waveform], tune: Waveform, minutes: float, gap_s: tuple[float, float],
    generator: np.random.Generator,
) -> Recording:  # fmt: skip
    """Prompts in random order with a gap after each."""
    kinds = [*KINDS, *(["music"] * len(KINDS) if len(tune) else [])]
    parts: list[Waveform] = []
    prompts: list[int] = []
    gaps: list[str] = []
    size = 0
    while size < minutes * 60 * SAMPLE_RATE:
        prompts.append(int(generator.integers(len(waveforms))))
        gaps.append(str(generator.choice(kinds)))
        parts += [
            waveforms[prompts[-1]],
            gap(gaps[-1], round(generator.uniform(*gap_s) * SAMPLE_RATE), tune, generator),
        ]
        size += len(parts[-2]) + len(parts[-1])
    return Recording(np.concatenate(parts).astype(np.float32), prompts, gaps)


def gap(kind: str, size: int, tune: Waveform, generator: np.random.Generator) -> Waveform:
    """Sound without speech, between barely audible and loud."""
    if kind == "music":
        start = int(generator.integers(max(len(tune) - size, 1)))
        sound = tune[start : start + size].astype(float)
    else:
        sound = KINDS[kind](size, generator)
    if kind != "silence":
        sound *= 10 ** (generator.uniform(-60, -15) / 20) / max(float(np.sqrt(np.mean(sound**2))), 1e-9)
    clipped: Waveform = np.clip(sound, -1, 1).astype(np.float32)
    return clipped


def differences(alone: Sequence[str], joined: str, gaps: Sequence[str]) -> dict[str, object]:
    """Words lost, changed and invented in the joined transcript, and the gaps in which some were."""
    normalizer = sx.TextNormalizer("basic")
    (pair,) = align([" ".join(alone)], [joined], normalizer)
    ends = np.cumsum([len(normalizer(text).split()) for text in alone])
    touched = set()
    for chunk in pair.chunks:
        if chunk.type == "insert":
            touched |= set(np.flatnonzero(ends == chunk.ref_start_idx).tolist()[:1])
    counts = pair.words
    return {
        "words": counts.reference, "lost": counts.deletions, "changed": counts.substitutions,
        "invented": counts.insertions,
        "gaps": len(gaps), "gaps_with_words": len(touched), "by_kind": dict(Counter(gaps[index] for index in touched)),
    }  # fmt: skip


def figures(
    model: sx.SpeechModel, made: Recording, texts: Sequence[str], alone: Sequence[str], vad: str
) -> dict[str, object]:
    started = time.perf_counter()
    joined = model.transcribe(made.waveform, sample_rate=SAMPLE_RATE, vad=vad).text
    seconds = time.perf_counter() - started
    wanted, spoken = [texts[index] for index in made.prompts], [alone[index] for index in made.prompts]
    normalizer = sx.TextNormalizer("basic")
    return {
        "vad": vad,
        "wer_alone": round(sx.error_rates(wanted, spoken, normalizer).wer, 4),
        "wer_joined": round(sx.error_rates([" ".join(wanted)], [joined], normalizer).wer, 4),
        **differences(spoken, joined, made.gaps),
        "times_real_time": round(len(made.waveform) / SAMPLE_RATE / seconds, 1),
    }


def utterances(manifests: Sequence[Path]) -> Iterator[tuple[str, Waveform]]:
    for manifest in manifests:
        for utterance in sx.Manifest.read(manifest):
            yield utterance.text or "", read(utterance)


@click.command(cls=sx.Command)
@click.option("--model", "name", required=True, help="A model that transcribes.")
@click.option("--prompts", required=True, multiple=True, type=click.Path(path_type=Path), help="Manifest of utterances; may be repeated.")  # fmt: skip  # noqa: E501
@click.option("--music", "tunes", multiple=True, type=click.Path(path_type=Path), help="Recording of music without singing; may be repeated.")  # fmt: skip  # noqa: E501
@click.option("--vad", multiple=True, default=["silero"], show_default=True, help="How speech is found; may be repeated.")  # fmt: skip  # noqa: E501
@click.option("--minutes", default=60.0, show_default=True, help="Length of the recording.")
@click.option("--gap", nargs=2, type=float, default=(0.5, 8.0), show_default=True, help="Shortest and longest gap in seconds.")  # fmt: skip  # noqa: E501
@click.option("--seed", default=1, show_default=True)
def main(
    name: str, prompts: tuple[Path, ...], tunes: tuple[Path, ...], vad: tuple[str, ...], minutes: float,
    gap: tuple[float, float], seed: int,
) -> None:  # fmt: skip
    """Print figures as JSON, a line for each detector."""
    generator = np.random.default_rng(seed)
    texts, waveforms = map(list, zip(*utterances(prompts), strict=True))
    made = recording(waveforms, music(tunes), minutes, gap, generator)
    model = sx.SpeechModel.load(name)
    used = set(made.prompts)
    alone = [model.recognize([waveform])[0].text if index in used else "" for index, waveform in enumerate(waveforms)]
    for one in vad:
        print(json.dumps(figures(model, made, texts, alone, one)), flush=True)


if __name__ == "__main__":
    main()
