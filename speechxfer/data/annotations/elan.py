"""Read tiers from the files of ELAN (.eaf), with the times that ELAN shows where none are written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from speechxfer.data.annotations import elan_xml
from speechxfer.data.annotations.elan_xml import Annotation, DocumentTier
from speechxfer.data.annotations.tiers import Annotations, Interval, Tier, Warn, tier_of

_Span = tuple[float, float]


def read(path: Path, warn: Warn) -> Annotations:
    """Read a file of ELAN; the speaker is a tier's participant.

    Slots without a time are distributed evenly between those around them: of tiers with a parent, in the chain of
    annotations on this tier, and else in the order of all slots. Annotations that belong to another one, and have no
    slots, divide its time evenly.

    Raises:
        DataError: as `elan_xml.parse`.
    """
    document = elan_xml.parse(path)
    times = _Times(document.slots)
    spans: dict[str, _Span] = {}
    for tier in _parents_first(document.tiers):
        spans.update(times.spans(tier))
        spans.update(_divided(tier, spans))
    tiers = (_tier(tier, spans, path, warn) for tier in document.tiers)
    return Annotations(tuple(tiers), tuple(document.media))


def _tier(tier: DocumentTier, spans: dict[str, _Span], path: Path, warn: Warn) -> Tier:
    def intervals() -> Iterator[Interval]:
        for one in tier.annotations:
            if one.id in spans:
                yield Interval(*spans[one.id], one.text, tier.participant, f"{path}:{one.line}")
            else:
                seen = f"{path}:{one.line}: {one.id} refers to {one.parent or ' and '.join(one.slots or ())}"
                warn(f"{seen}, which has no time; it is skipped", "an annotation without a time")

    return tier_of(tier.name, intervals(), warn)


def _parents_first(tiers: Sequence[DocumentTier]) -> list[DocumentTier]:
    parents = {tier.name: tier.parent for tier in tiers}

    def depth(tier: DocumentTier) -> int:
        name, steps = tier.parent, 0
        while name is not None and steps < len(tiers):  # tiers that are their own ancestors end, too
            name, steps = parents.get(name), steps + 1
        return steps

    return sorted(tiers, key=depth)


class _Times:
    """The seconds of all slots: written, or interpolated."""

    def __init__(self, slots: dict[str, float | None]) -> None:
        self._times = {name: time for name, time in slots.items() if time is not None}
        self._guessed = dict(_interpolated(list(slots), self._times, before=0.0))

    def spans(self, tier: DocumentTier) -> Iterator[tuple[str, _Span]]:
        """Each annotation that has slots, with its start and end."""
        if tier.parent is not None:
            for chain in _chains(tier.annotations):
                self._times.update(_interpolated(chain, self._times))
        known = self._guessed | self._times
        for one in tier.annotations:
            if one.slots and one.slots[0] in known and one.slots[1] in known:
                yield one.id, (known[one.slots[0]], known[one.slots[1]])


def _chains(annotations: Iterable[Annotation]) -> Iterator[list[str]]:
    """The slots of annotations of which each begins where the one before ends."""
    chain: list[str] = []
    for start, end in (one.slots for one in annotations if one.slots):
        if chain and chain[-1] == start:
            chain.append(end)
        else:
            yield chain
            chain = [start, end]
    yield chain


def _interpolated(
    slots: Sequence[str], times: dict[str, float], before: float | None = None
) -> Iterator[tuple[str, float]]:
    """The slots without a time, at equal distances between those that have one; `before` is that of the start."""
    waiting: list[str] = []
    for slot in slots:
        if slot not in times:
            waiting.append(slot)
            continue
        if before is not None:
            step = (times[slot] - before) / (len(waiting) + 1)
            yield from [(name, before + place * step) for place, name in enumerate(waiting, start=1)]
        before, waiting = times[slot], []


def _divided(tier: DocumentTier, spans: dict[str, _Span]) -> Iterator[tuple[str, _Span]]:
    """Each annotation that belongs to another one, with its part of the time of that."""
    siblings: dict[str, list[Annotation]] = defaultdict(list)
    for one in tier.annotations:
        if one.parent is not None:
            siblings[one.parent].append(one)
    for parent, parts in siblings.items():
        if parent in spans:
            start, end = spans[parent]
            step = (end - start) / len(parts)
            for place, one in enumerate(_in_order(parts)):
                yield one.id, (start + place * step, start + (place + 1) * step)


def _in_order(siblings: list[Annotation]) -> list[Annotation]:
    """Siblings in the order in which each names the one before it; as they are written where that fails."""
    following = {one.previous: one for one in siblings}
    found: list[Annotation] = []
    one = following.get(None)
    while one is not None and len(found) < len(siblings):
        found.append(one)
        one = following.get(one.id)
    return found if len(found) == len(siblings) else siblings
