"""Whether a run's manifests suit the model: what would fail late, or is worth a line, is found before the work."""

from __future__ import annotations

from dataclasses import replace

from speechxfer.config import FinetuneConfig
from speechxfer.data.loading import durations_s
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress


def check(
    model: SpeechModel,
    manifests: dict[str, Manifest],
    normalizer: TextNormalizer,
    config: FinetuneConfig,
    progress: Progress,
) -> None:
    """Everything that is known before the first step to go wrong, or to be worth a line.

    What is to be retained (`retain`) may hold characters that the head does not write: that is what was forgotten.

    Args:
        model: before its first step.
        manifests: by split; of "train" what can be learned from.
        normalizer: applied before errors are counted.
        config: of the run.
        progress: the lines go there.

    Raises:
        DataError: a split that is measured lacks texts, words or labels, holds what the head does not know, or audio
            that cannot be read or is longer than the model takes.
    """
    for name, manifest in manifests.items():
        if name != "train":
            model.head.check_measurable(manifest, normalizer)
            check_audio(manifest, model.encoder.max_duration_s)
    model.head.check_splits(manifests, config, progress)


def check_audio(manifest: Manifest, longest_s: float | None) -> None:
    """Look at the headers of all files, also where the manifest says how long they are.

    Raises:
        DataError: one cannot be read, or an utterance is longer than `longest_s`.
    """
    files = {utterance.source: replace(utterance, duration=None) for utterance in reversed(manifest)}
    Manifest(files.values()).with_durations()
    durations_s(manifest, longest_s)
