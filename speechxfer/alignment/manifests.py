"""The lines of a manifest, or a long recording with its script, as utterances with times."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from speechxfer import audio as sound
from speechxfer.alignment.recordings import align_recording
from speechxfer.alignment.result import Kind, Mismatch
from speechxfer.alignment.script import Line, sentences
from speechxfer.data.characters import joined
from speechxfer.data.dataset import Dataset
from speechxfer.data.loading import read
from speechxfer.data.manifest import Manifest, Utterance, length_s
from speechxfer.decoding.hypothesis import Word
from speechxfer.errors import DataError
from speechxfer.inference.transcript import Segment
from speechxfer.predictor import Predictor
from speechxfer.progress import Progress

#: Seconds around the words of an utterance that belong to it, where there is a pause.
_MARGIN_S = 0.15
#: To cut after the end of a sentence is worth so many seconds of a pause.
_SENTENCE_S = 0.3
_SENTENCE_ENDS = tuple(".!?…。！？")  # noqa: RUF001


@dataclass(frozen=True)
class Cut:
    """How utterances are made.

    Attributes:
        max_s: longest utterance, in seconds; longer ones are cut at ends of sentences and at pauses.
        least_confidence: utterances below are left out.
        least_matched: recordings of whose words a smaller fraction is found are left out.
    """

    max_s: float = 20.0
    least_confidence: float = 0.3
    least_matched: float = 0.5


@dataclass(frozen=True)
class AlignedManifest:
    """Utterances with times, and where recordings and texts differ."""

    manifest: Manifest
    mismatches: tuple[Mismatch, ...]


def aligned_manifest(
    model: Predictor, dataset: Dataset, cut: Cut, *, script: Sequence[Line] | None, progress: Progress
) -> AlignedManifest:
    """Align each utterance.

    Args:
        model: with a CTC head.
        dataset: the utterances.
        cut: how utterances are made.
        script: the lines of the only utterance, where they are known; else they are its sentences, if it is long.
        progress: receives what goes on; it is warned of utterances that are left out.

    Raises:
        ConfigError: the model has no CTC head.
        DataError: a recording cannot be read, or none of the utterances matches its text.
    """
    made: list[Utterance] = []
    mismatches: list[Mismatch] = []
    problem = DataError(f"{dataset.path}: no utterance has a confidence of {cut.least_confidence:g} or more")
    lengths = [length_s(utterance, progress.warn) for utterance in dataset]
    with progress.task("alignment", sum(lengths)) as advance:
        for utterance, seconds in zip(dataset, lengths, strict=True):
            lines = script or _lines(utterance, seconds > cut.max_s)
            try:
                found = align_recording(
                    model, _blocks(utterance, progress), lines, utterance.origin, warn=progress.warn, advance=advance
                )
                found.check_matched(cut.least_matched, utterance.audio, utterance.origin)
            except DataError as error:
                problem = error
                progress.warn(f"{error}; left out", "left out")
                continue
            parts = [part for segment in found.transcript.segments for part in _parts(segment, cut.max_s)]
            sure = [(part.confidence or 0.0) >= cut.least_confidence for part in parts]
            placed = list(_placed(parts, utterance, found.transcript.duration))
            made += itertools.compress(placed, sure)
            unsure = (part for part, is_sure in zip(parts, sure, strict=True) if not is_sure)
            differing = [*found.mismatches, *(Mismatch(Kind.DOUBTFUL, one.start, one.end, one.text) for one in unsure)]
            mismatches += (_of(one, utterance) for one in differing)
    if not made:
        raise problem
    return AlignedManifest(dataset.holding(made), tuple(mismatches))


def _lines(utterance: Utterance, is_long: bool) -> list[Line]:
    text = utterance.text or ""
    lines = sentences(text.splitlines()) if is_long else [Line(text)]
    return [replace(line, origin=utterance.origin) for line in lines]


def _blocks(utterance: Utterance, progress: Progress) -> Iterable[sound.Waveform]:
    """The sound of an utterance; that of a whole file is never in memory at once."""
    if utterance.start or utterance.duration is not None:
        return [read(utterance, progress)]

    def notify(notice: sound.Notice) -> None:
        progress.warn(f"{utterance.origin}: {notice}", notice.kind)

    options: sound.Options = {**utterance.reading, "notify": notify}
    return sound.blocks(utterance.source, **options)


def _parts(segment: Segment, max_s: float) -> Iterator[Segment]:
    """A segment as it is, or cut until no part is too long."""
    waiting = [segment.words]
    while waiting:
        words = waiting.pop()
        if len(words) < 2 or words[-1].end - words[0].start <= max_s - 2 * _MARGIN_S:
            text = segment.text if words == segment.words else joined(word.text for word in words)
            yield replace(segment, start=words[0].start, end=words[-1].end, text=text, words=words)
        else:
            place = _best_cut(words)
            waiting += [words[place:], words[:place]]


def _best_cut(words: Sequence[Word]) -> int:
    """Before which word."""
    values = [
        after.start - before.end + _SENTENCE_S * before.text.endswith(_SENTENCE_ENDS)
        for before, after in itertools.pairwise(words)
    ]
    return 1 + max(range(len(values)), key=values.__getitem__)


def _placed(parts: Sequence[Segment], utterance: Utterance, duration: float) -> Iterator[Utterance]:
    """Parts as utterances, with a margin around their words that reaches at most the middle of a pause."""
    ends = [0.0, *(part.end for part in parts)]
    starts = [*(part.start for part in parts[1:]), duration]
    for part, before, after in zip(parts, ends, starts, strict=False):
        start = part.start - min(_MARGIN_S, max(part.start - before, 0.0) / 2)
        end = part.end + min(_MARGIN_S, max(after - part.end, 0.0) / 2)
        yield replace(
            utterance,
            text=part.text,
            start=round(utterance.start + start, 3),
            duration=round(end - start, 3),
            extra={**utterance.extra, "confidence": round(part.confidence or 0.0, 4)},
        )


def _of(mismatch: Mismatch, utterance: Utterance) -> Mismatch:
    """With times of the file, and its name."""
    start, end = mismatch.start + utterance.start, mismatch.end + utterance.start
    return replace(mismatch, start=start, end=end, audio=utterance.audio)
