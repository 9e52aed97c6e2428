"""Probe a model's layers on a domain, and measure the distance of the domain."""

from __future__ import annotations

from collections.abc import Sequence

from speechxfer.config import HEADS
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.device import choose_device
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.model import SpeechModel
from speechxfer.opening import OWN, open_checkpoint
from speechxfer.planner.probe import Probe, probe
from speechxfer.planner.similarity import Similarity, similarity
from speechxfer.progress import Progress


def examine(
    checkpoint: Checkpoint,
    train: Manifest,
    dev: Manifest,
    *,
    head: str = "ctc",
    seams: Sequence[int] | None = None,
    seconds: float = 600.0,
    reference: Manifest | None = None,
    device: str = "auto",
    normalizer: TextNormalizer | None = None,
    multi_label: bool = False,
    progress: Progress | None = None,
) -> tuple[Probe, Similarity]:
    """Probe every layer, and measure the distance by all measures that the model allows.

    Raises:
        CheckpointError: the model cannot be read.
        ConfigError: no such layer or device.
        DataError: too few utterances, a class that is not in train, unreadable audio.
    """
    chosen = choose_device(device)
    encoder = open_checkpoint(checkpoint).encoder.to(chosen)
    found = probe(
        encoder, checkpoint.name, train, dev, head=head, seams=seams, seconds=seconds, multi_label=multi_label,
        normalizer=normalizer, progress=progress,
    )  # fmt: skip
    unadapted = _unadapted(checkpoint, progress or Progress()) if not HEADS.find(head).is_classifier else None
    unadapted = unadapted and unadapted.to(chosen)
    similar = similarity(
        found,
        dev,
        encoder,
        unadapted=unadapted,
        seconds=seconds,
        reference=reference,
        normalizer=normalizer,
        progress=progress,
    )
    return found, similar


def _unadapted(checkpoint: Checkpoint, progress: Progress) -> SpeechModel | None:
    """The pre-trained model with its head, if it transcribes."""
    opened = open_checkpoint(checkpoint, head=OWN)
    if opened.problem:
        progress.log(f"{opened.problem}; its zero-shot error is not measured")
    if opened.head is None or opened.head.task != "transcription":
        return None
    return SpeechModel(opened.encoder, opened.head, opened.source).eval()
