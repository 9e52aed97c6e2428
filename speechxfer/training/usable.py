"""Which training utterances can be learned from; the others are reported and left out, as if they were not there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from speechxfer.data.batching import cost_s
from speechxfer.data.loading import read
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.errors import DataError
from speechxfer.heads.base import Head
from speechxfer.heads.setup import Setup, Unusable
from speechxfer.progress import Progress

_Faults = dict[str, list[tuple[Utterance, Unusable]]]


def usable(train: Manifest, head_class: type[Head], setup: Setup, kept: Head | None) -> tuple[Manifest, Head | None]:
    """The utterances that can be used in training, in order, and the head's draft; the others are logged by reason.

    Args:
        train: the training manifest.
        head_class: of the head that is trained.
        setup: what the head is made from.
        kept: the checkpoint's own head where training goes on with it.

    Raises:
        DataError: there are none, or what is left teaches nothing (`Head.check_usable`).
    """
    faults: _Faults = defaultdict(list)
    measured = list(_computable(train, setup, faults))
    draft = head_class.draft(setup, kept, measured)
    found = []
    for utterance, frames in measured:
        if (fault := head_class.unusable(utterance, frames, setup, draft)) is None:
            found.append(utterance)
        else:
            faults[fault.reason].append((utterance, fault))
    left = _left(train, found, faults, setup.progress)
    head_class.check_usable(train, left, setup, draft)
    return left, draft


def _left(train: Manifest, found: Sequence[Utterance], faults: _Faults, progress: Progress) -> Manifest:
    """The training manifest without the faulty utterances, which are reported."""
    if not found:
        seen = "; ".join(_first(reason, some) for reason, some in faults.items())
        raise DataError(f"{train.path}: none of its {len(train)} utterances can be used, so nothing would be learned: {seen}")  # fmt: skip  # noqa: E501
    for reason, some in faults.items():
        progress.log(f"{len(some)} of {len(train)} training utterances {_first(reason, some, counted=False)}")
    return train.holding(found) if faults else train


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
        found = measured(utterance, progress, decoded=decoded)
        if isinstance(found, Utterance):
            kept.append(found)
        else:
            faults.append((utterance, found))
    if not kept:
        seen = _first(faults[0][1].reason, faults)
        raise DataError(f"{manifest.path}: none of its {len(manifest)} utterances can be used: {seen}")
    if faults:
        first = _first(faults[0][1].reason, faults, counted=False)
        progress.log(f"{len(faults)} of {len(manifest)} utterances {first}")
    return manifest.holding(kept)


def _first(reason: str, some: Sequence[tuple[Utterance, Unusable]], *, counted: bool = True) -> str:
    utterance, fault = some[0]
    count = f"{len(some)} " if counted else ""
    return f"{count}{reason} and are not used; the first is {utterance.origin}: {fault.seen}"


def _computable(train: Manifest, setup: Setup, faults: _Faults) -> Iterator[tuple[Utterance, int]]:
    """The utterances that can be read and computed, with their numbers of hidden states; the others become faults."""
    encoder = setup.encoder
    for utterance in train:
        found = measured(utterance, setup.progress)
        fault = found if isinstance(found, Unusable) else _too_long(found.duration or 0.0, setup)
        if fault is not None:
            faults[fault.reason].append((utterance, fault))
        elif isinstance(found, Utterance):
            samples = int((found.duration or 0.0) * encoder.sample_rate)
            yield utterance, encoder.output_frames(encoder.num_frames(samples))


def _too_long(duration: float, setup: Setup) -> Unusable | None:
    encoder, most = setup.encoder, setup.config.training.device_batch_seconds
    longest = encoder.max_duration_s
    if longest is not None and duration > longest:
        return Unusable(f"are longer than the {longest:g} s that the model takes at once", f"{duration:.1f} s; cut it with its words")  # fmt: skip  # noqa: E501
    if most and cost_s(encoder.computed_s(duration)) > most:
        return Unusable(f"exceed training.device_batch_seconds={most:g} on their own", f"{duration:.1f} s")
    return None


def measured(utterance: Utterance, progress: Progress, *, decoded: bool = False) -> Utterance | Unusable:
    """The utterance with its duration, or why it cannot be read.

    Args:
        utterance: of a manifest.
        progress: is warned of what is wrong with the file but does not keep it from being used.
        decoded: read it to the end, not only its header.

    Raises:
        DataError: it is to be read strictly, and cannot be.
    """
    if not utterance.source.is_readable():
        return Unusable("cannot be read", f"{utterance.source.name}: may not be read by this user")
    try:
        (found,) = Manifest([utterance]).with_durations(warn=progress.warn)
        if decoded:
            read(utterance, progress)
    except DataError as error:
        if utterance.strict:
            raise
        return Unusable("cannot be read", str(error).removeprefix(f"{utterance.origin}: "))
    return found
