"""What a manifest's lines stand for: waveforms, lengths and transcripts, with the line in every error."""

from __future__ import annotations

import numpy as np

from speechxfer import audio
from speechxfer.data.dataset import Dataset
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.errors import AudioError, DataError
from speechxfer.progress import Progress


def texts(manifest: Manifest) -> list[str]:
    """The transcripts of a manifest.

    Raises:
        DataError: an utterance has none.
    """
    for utterance in manifest:
        if utterance.text is None:
            raise DataError(f"{utterance.origin}: has no text; wanted the transcript of {utterance.audio}")
    return [utterance.text or "" for utterance in manifest]


def check_words(manifest: Manifest, normalizer: TextNormalizer) -> None:
    """Look whether an error rate can be measured on a manifest.

    Raises:
        DataError: an utterance without text, or no word in any text.
    """
    if not any(map(normalizer, texts(manifest))):
        raise DataError(
            f"{manifest.path}: none of its {len(manifest)} texts holds a word after normalizer {normalizer}, so no "
            f"error rate can be measured on it; the first is {manifest[0].origin}: {manifest[0].text!r:.80}"
        )


def durations_s(manifest: Manifest, longest_s: float | None) -> list[float]:
    """Seconds of each utterance, from the manifest or the file's header.

    Raises:
        DataError: one is longer than `longest_s`.
    """
    dataset = manifest if isinstance(manifest, Dataset) else Dataset(manifest, manifest.path)
    durations = list(dataset.lengths_s)
    for utterance, duration in zip(manifest, durations, strict=True):
        if longest_s is not None and duration > longest_s:
            raise DataError(
                f"{utterance.origin}: {utterance.audio} is {duration:.1f} s long, but the model takes at most "
                f"{longest_s:g} s at once; cut it with its words, or leave it out"
            )
    return durations


def read(utterance: Utterance, progress: Progress | None = None) -> np.ndarray:
    """The utterance's waveform, float32 mono at 16 kHz.

    Args:
        utterance: of a manifest.
        progress: is warned of what is wrong with the file but does not keep it from being used.

    Raises:
        DataError: it cannot be read; the message starts with the manifest's line.
    """

    def notify(notice: audio.Notice) -> None:
        if progress is not None:
            progress.warn(f"{utterance.origin}: {notice}", notice.kind)

    options: audio.Options = {**utterance.reading, "notify": notify}
    try:
        return audio.load(utterance.source, start=utterance.start, duration=utterance.duration, **options)
    except AudioError as error:
        raise AudioError(f"{utterance.origin}: {error}") from error
