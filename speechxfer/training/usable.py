"""Which training utterances can be learned from; the others are reported and left out, as if they were not there."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from speechxfer.config import FinetuneConfig
from speechxfer.data.batching import cost_s
from speechxfer.data.labels import named
from speechxfer.data.loading import read
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer, frames_needed
from speechxfer.encoders.base import Encoder
from speechxfer.errors import DataError
from speechxfer.heads.base import Head
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.progress import Progress


@dataclass(frozen=True)
class _Fault:
    """Why an utterance cannot be used: what it has in common with others, and what was seen of this one."""

    what: str
    seen: str


def usable(
    train: Manifest, encoder: Encoder, existing: Head | None, config: FinetuneConfig, progress: Progress
) -> Manifest:
    """The utterances that can be learned from, in order; of the others, a line for each reason.

    Args:
        train: the training manifest.
        encoder: as it is trained, pooling included.
        existing: the checkpoint's own head where that is kept.
        config: of the run.
        progress: the lines go there.

    Raises:
        DataError: there are none; no text has a character in it; or a class is left without any.
    """
    kept: list[Utterance] = []
    faults: dict[str, list[tuple[Utterance, _Fault]]] = defaultdict(list)
    for utterance in train:
        fault = _fault(utterance, encoder, existing, config, progress)
        if fault is None:
            kept.append(utterance)
        else:
            faults[fault.what].append((utterance, fault))
    if not kept:
        seen = "; ".join(_first(what, some) for what, some in faults.items())
        raise DataError(f"{train.path}: none of its {len(train)} utterances can be used, so nothing would be learned: {seen}")  # fmt: skip  # noqa: E501
    for what, some in faults.items():
        progress.say(f"{len(some)} of {len(train)} training utterances {_first(what, some, counted=False)}")
    found = Manifest(kept, train.path) if faults else train
    _check_labels(train, found, existing, config)
    return found


def readable(manifest: Manifest, progress: Progress, *, decoded: bool = False) -> Manifest:
    """The utterances whose files can be opened, with their durations; the others are reported.

    Args:
        manifest: any.
        progress: the report goes there.
        decoded: read them to the end, not only their headers.

    Raises:
        DataError: there are none.
    """
    kept, faults = [], []
    for utterance in manifest:
        found = _measured(utterance, progress, decoded=decoded)
        if isinstance(found, Utterance):
            kept.append(found)
        else:
            faults.append((utterance, found))
    if not kept:
        seen = _first(faults[0][1].what, faults)
        raise DataError(f"{manifest.path}: none of its {len(manifest)} utterances can be used: {seen}")
    if faults:
        progress.say(f"{len(faults)} of {len(manifest)} utterances {_first(faults[0][1].what, faults, counted=False)}")
    return Manifest(kept, manifest.path)


def _first(what: str, some: Sequence[tuple[Utterance, _Fault]], *, counted: bool = True) -> str:
    utterance, fault = some[0]
    count = f"{len(some)} " if counted else ""
    return f"{count}{what} and are not used; the first is {utterance.origin}: {fault.seen}"


def _fault(
    utterance: Utterance, encoder: Encoder, existing: Head | None, config: FinetuneConfig, progress: Progress
) -> _Fault | None:
    measured = _measured(utterance, progress)
    if isinstance(measured, _Fault):
        return measured
    duration, longest, most = measured.duration or 0.0, encoder.max_duration_s, config.training.device_batch_seconds
    if longest is not None and duration > longest:
        return _Fault(f"are longer than the {longest:g} s that the model takes at once", f"{duration:.1f} s; cut it with its words")  # fmt: skip  # noqa: E501
    if most and cost_s(encoder.computed_s(duration)) > most:
        return _Fault(f"exceed training.device_batch_seconds={most:g} on their own", f"{duration:.1f} s")
    frames = encoder.output_frames(encoder.num_frames(int(duration * encoder.sample_rate)))
    return _head_fault(utterance, frames, encoder, existing, config)


def _head_fault(
    utterance: Utterance, frames: int, encoder: Encoder, existing: Head | None, config: FinetuneConfig
) -> _Fault | None:
    """What the head lacks to learn from an utterance with so many frames."""
    if config.head == "classification":
        has_label = bool(utterance.label) or (config.classification.multi_label and utterance.label is not None)
        return None if has_label else _Fault("have no label", f"wanted the class of {utterance.audio}")
    if utterance.text is None:
        return _Fault("have no text", f"wanted the transcript of {utterance.audio}")
    if config.head == "seq2seq" and existing is not None:
        return _too_long(existing, existing.targets(utterance))
    return _too_short(_normalizer(existing, config)(utterance.text), frames, encoder)


def _measured(utterance: Utterance, progress: Progress, *, decoded: bool = False) -> Utterance | _Fault:
    """The utterance with its duration."""
    if not os.access(utterance.path, os.R_OK):
        return _Fault("cannot be read", f"{utterance.path}: may not be read by this user")
    try:
        (measured,) = Manifest([utterance]).with_durations(warn=progress.warn)
        if decoded:
            read(utterance, progress)
    except DataError as error:
        if utterance.strict:
            raise
        return _Fault("cannot be read", str(error).removeprefix(f"{utterance.origin}: "))
    return measured


def _too_short(text: str, frames: int, encoder: Encoder) -> _Fault | None:
    """CTC needs a frame for each character; those that a kept head cannot write are refused elsewhere."""
    needed = frames_needed([ord(character) for character in text])
    if frames >= max(needed, 1):
        return None
    remedy = "a smaller --frame-stride gives more" if encoder.pooling is not None else "does it belong there?"
    return _Fault("are too short for their text", f"{frames} frames, but {needed} are needed to spell it; {remedy}")


def _too_long(head: Head, targets: Sequence[int]) -> _Fault | None:
    """The decoder needs a position for each token."""
    if head.learnable(targets, 0):
        return None
    seen = f"its text takes {len(targets)} tokens with the prompt and the end; cut it together with its audio"
    return _Fault(f"have more tokens than the decoder's {head.max_positions} positions", seen)


def _normalizer(existing: Head | None, config: FinetuneConfig) -> TextNormalizer:
    if isinstance(existing, CTCHead) and not config.text.normalizer:
        return existing.normalizer
    return TextNormalizer(config.text.new_head_normalizer)


def _check_labels(train: Manifest, found: Manifest, existing: Head | None, config: FinetuneConfig) -> None:
    """What is to be learned has to occur."""
    if config.head != "classification":
        normalizer = _normalizer(existing, config)
        if not any(normalizer(utterance.text or "") for utterance in found):
            raise DataError(
                f"{train.path}: none of its {len(found)} texts holds a character after normalizer {normalizer}, so the "
                f"model would learn to write nothing; the first is {found[0].origin}: {found[0].text!r:.80}"
            )
        return
    before, after = (_labels(manifest, multi_label=config.classification.multi_label) for manifest in (train, found))
    if lost := sorted(before - after):
        raise DataError(
            f"{train.path}: no utterance of the class {lost[0]!r} can be used, so that it would not be learned; repair "
            "them, or leave the class out"
        )


def _labels(utterances: Iterable[Utterance], *, multi_label: bool) -> set[str]:
    return {name for one in utterances if one.label for name in named(one.label, multi_label=multi_label)}
