"""What a model writes for a manifest, and how wrong that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from speechxfer.data.batching import batches
from speechxfer.data.loading import durations_s, read, texts
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.hypothesis import Hypothesis
from speechxfer.evaluation.metrics import ErrorRates, error_rates, wrong_words
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress

#: Seconds of audio decoded together.
_BATCH_S = 30.0


@dataclass(frozen=True)
class Result:
    """An utterance with what the model wrote for it and how many words of that are wrong."""

    utterance: Utterance
    hypothesis: str
    errors: int


@dataclass(frozen=True)
class Evaluation:
    """Error rates of a manifest and every utterance's part in them, the worst first."""

    rates: ErrorRates
    results: tuple[Result, ...]

    def to_dict(self, num_worst: int = 20) -> dict[str, Any]:
        """Rates and the worst utterances, as plain values for JSON."""
        worst = [
            {
                "audio": result.utterance.audio,
                "line": result.utterance.origin,
                "reference": result.utterance.text,
                "hypothesis": result.hypothesis,
                "errors": result.errors,
            }
            for result in self.results[:num_worst]
            if result.errors
        ]
        return {**self.rates.to_dict(), "worst": worst}


def evaluate(
    model: SpeechModel,
    manifest: Manifest,
    normalizer: TextNormalizer,
    *,
    language: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Transcribe a manifest and compare with its texts.

    Raises:
        DataError: an utterance without text, or unreadable audio.
    """
    texts(manifest)  # before the work
    hypotheses = recognise_all(model, manifest, language=language, progress=progress)
    return compare(manifest, [item.text for item in hypotheses], normalizer)


def compare(manifest: Manifest, hypotheses: Sequence[str], normalizer: TextNormalizer) -> Evaluation:
    """Transcripts against the manifest's texts.

    Raises:
        DataError: an utterance without text.
    """
    references = texts(manifest)
    results = [
        Result(utterance, text, wrong_words(reference, text, normalizer))
        for utterance, reference, text in zip(manifest, references, hypotheses, strict=True)
    ]
    results.sort(key=lambda result: -result.errors)
    return Evaluation(error_rates(references, hypotheses, normalizer), tuple(results))


def recognise_all(
    model: SpeechModel, manifest: Manifest, *, language: str | None = None, progress: Progress | None = None
) -> list[Hypothesis]:
    """One hypothesis for each utterance, computed in batches of like length.

    Raises:
        DataError: unreadable audio, or longer than the model takes at once.
    """
    durations = durations_s(manifest, model.encoder.max_duration_s)
    costs = [model.encoder.computed_s(duration) for duration in durations]
    found: dict[int, Hypothesis] = {}
    with (progress or Progress()).task("transcribing", sum(durations)) as advance:
        for batch in batches(range(len(manifest)), costs, _BATCH_S):
            hypotheses = model.recognise([read(manifest[index]) for index in batch], language=language)
            found.update(zip(batch, hypotheses, strict=True))
            advance(sum(durations[index] for index in batch))
    return [found[index] for index in range(len(manifest))]


def worst_table(results: Sequence[Result], count: int) -> list[tuple[str, str, str]]:
    """Rows of (errors, reference, hypothesis) of the worst utterances."""
    return [
        (str(result.errors), result.utterance.text or "", result.hypothesis)
        for result in results[:count]
        if result.errors
    ]
