"""Split a manifest into train, dev and test without a speaker, recording or sentence in two of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.errors import ConfigError, DataError

#: Least acceptable size of a split, as a fraction of the requested size.
_LEAST_OF_REQUESTED = 0.3


def split(
    manifest: Manifest,
    *,
    dev: float = 0.1,
    test: float = 0.1,
    by: str = "speaker",
    allow_shared_text: bool = False,
    normalizer: str = "basic",
    seed: int = 0,
) -> dict[str, Manifest]:
    """Split a manifest so that each split has its fraction of the audio, and of each label.

    Utterances with the same value of the column `by`, parts of the same file, and, without labels, utterances of the
    same sentence stay in one split. Such groups are assigned from large to small, each to the split that lacks most.

    Args:
        manifest: all utterances.
        dev, test: fractions of the seconds (of the utterances, if durations are unknown); 0 for no such split.
        by: a column; utterances without a value in it are independent.
        allow_shared_text: let a sentence occur in several splits.
        normalizer: of texts before they are compared.
        seed: of the random order of groups of one size.

    Returns:
        Manifests by "train", "dev" and "test", each in the original order.

    Raises:
        ConfigError: fractions that leave nothing for train, or a column that no utterance has.
        DataError: too few groups for these fractions.
    """
    if not (0 <= dev < 1 and 0 <= test < 1 and 0 < dev + test < 1):
        raise ConfigError(
            f"fractions of {dev:g} for dev and {test:g} for test; wanted numbers that leave some for train"
        )
    _check_column(manifest, by)
    fractions = {"train": 1 - dev - test, "dev": dev, "test": test}
    fractions = {name: fraction for name, fraction in fractions.items() if fraction > 0}
    groups = _groups(manifest, by, None if allow_shared_text else TextNormalizer(normalizer))
    assigned = _assign(groups, fractions, _weights(manifest), manifest, seed)
    _check_sizes(assigned, fractions, groups, manifest, by, allow_shared_text)
    return {name: Manifest((manifest[row] for row in sorted(rows)), manifest.path) for name, rows in assigned.items()}


def _check_column(manifest: Manifest, by: str) -> None:
    # Unknown speakers are common, and "speaker" is the default.
    if by != "speaker" and all(utterance.value(by) is None for utterance in manifest):
        known = sorted({name for utterance in manifest for name in utterance.extra} | {"speaker"})
        raise ConfigError(f"--by {by}: no utterance has this column; wanted one of: {', '.join(known)}")


def _groups(manifest: Manifest, by: str, normalize: TextNormalizer | None) -> list[list[int]]:
    """Connected rows, directly or through others, in the order of their first row."""
    parents = list(range(len(manifest)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = row = parents[parents[row]]
        return row

    first: dict[Hashable, int] = {}
    for row, utterance in enumerate(manifest):
        for key in _keys(utterance, by, normalize):
            one, two = sorted((root(first.setdefault(key, row)), root(row)))
            parents[two] = one
    members: dict[int, list[int]] = defaultdict(list)
    for row in range(len(manifest)):
        members[root(row)].append(row)
    return list(members.values())


def _keys(utterance: Utterance, by: str, normalize: TextNormalizer | None) -> Iterable[tuple[str, str]]:
    yield "file", utterance.source.name
    if (value := utterance.value(by)) is not None:
        yield by, str(value)
    if normalize is not None and utterance.label is None and (text := normalize(utterance.text or "")):
        yield "text", text


def _weights(manifest: Manifest) -> list[float]:
    known = [utterance.duration for utterance in manifest]
    return [1.0 if None in known else duration or 0.0 for duration in known]


def _assign(
    groups: list[list[int]], fractions: dict[str, float], weights: list[float], manifest: Manifest, seed: int
) -> dict[str, list[int]]:
    """Assign large groups first, each to the split that gets closest to its fraction of every label."""
    contents: list[Counter[str]] = [Counter() for _ in groups]
    for content, group in zip(contents, groups, strict=True):
        for row in group:
            content[manifest[row].label or ""] += weights[row]  # type: ignore[assignment]
    total = sum(contents, Counter())
    missing = {
        name: {label: fraction * amount for label, amount in total.items()} for name, fraction in fractions.items()
    }
    order = list(range(len(groups)))
    random.Random(seed).shuffle(order)
    order.sort(key=lambda number: -contents[number].total())
    assigned: dict[str, list[int]] = {name: [] for name in fractions}
    for number in order:
        content = contents[number]
        gains = {
            name: sum(amount * (missing[name][label] - amount / 2) / total[label] for label, amount in content.items())
            / fraction
            for name, fraction in fractions.items()
        }
        best = max(gains, key=lambda name: gains[name])
        assigned[best] += groups[number]
        for label, amount in content.items():
            missing[best][label] -= amount
    return assigned


def _check_sizes(
    assigned: dict[str, list[int]],
    fractions: dict[str, float],
    groups: list[list[int]],
    manifest: Manifest,
    by: str,
    allow_shared_text: bool,
) -> None:
    """Check that every split has enough of its fraction; the error says what helps."""
    for name, rows in assigned.items():
        if len(rows) >= max(1.0, _LEAST_OF_REQUESTED * fractions[name] * len(manifest)):
            continue
        largest = max(map(len, groups))
        seen = f"{manifest.path}: {len(groups)} groups of utterances, the largest of {largest / len(manifest):.0%}"
        if allow_shared_text or len(_groups(manifest, by, None)) <= len(groups):
            raise DataError(
                f"{seen}, are too few for a {name} split of {fractions[name]:.0%} with whole {by}s; "
                "name another column by --by, or collect more"
            )
        raise DataError(
            f"{seen}: {by}s are connected by sentences that several of them say, so there is no {name} split without "
            f"shared sentences; --allow-shared-text splits by {by} alone"
        )
