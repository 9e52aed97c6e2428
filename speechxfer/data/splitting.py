"""One manifest into train, dev and test, so that no speaker, recording or sentence stands in two of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.data.text import TextNormalizer
from speechxfer.errors import ConfigError, DataError

#: What of a wanted share is the least that is still called a split.
_LEAST_OF_SHARE = 0.3


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
    """Deal utterances out so that each split has its share of the audio, and of each label.

    What belongs together stays together: utterances with the same value of the column `by`, parts of the same
    file, and, unless labels say what is meant, the same sentence. Groups are dealt in an order that `seed` and
    their size decide, each to the split that lacks most of what it holds.

    Args:
        manifest: all utterances.
        dev, test: shares of the seconds (of the utterances, where durations are unknown); 0 makes no such split.
        by: a column; utterances without a value in it belong to nobody else.
        allow_shared_text: let sentences stand in several splits.
        normalizer: how texts are written before they are compared.
        seed: another one gives another split.

    Returns:
        Manifests in the order of the original by "train", "dev" and "test".

    Raises:
        ConfigError: shares that leave nothing to train on, or a column that no utterance has.
        DataError: too few groups to deal out.
    """
    if not (0 <= dev < 1 and 0 <= test < 1 and 0 < dev + test < 1):
        raise ConfigError(f"shares of {dev:g} for dev and {test:g} for test; wanted numbers that leave some for train")
    _check_column(manifest, by)
    shares = {"train": 1 - dev - test, "dev": dev, "test": test}
    shares = {name: share for name, share in shares.items() if share > 0}
    groups = _groups(manifest, by, None if allow_shared_text else TextNormalizer(normalizer))
    dealt = _deal(groups, shares, _weights(manifest), manifest, seed)
    _check_shares(dealt, shares, groups, manifest, by, allow_shared_text)
    return {name: Manifest((manifest[row] for row in sorted(rows)), manifest.path) for name, rows in dealt.items()}


def _check_column(manifest: Manifest, by: str) -> None:
    # That speakers are unknown is common, and no mistake of whoever left the option alone.
    if by != "speaker" and all(utterance.value(by) is None for utterance in manifest):
        known = sorted({name for utterance in manifest for name in utterance.extra} | {"speaker"})
        raise ConfigError(f"--by {by}: no utterance has this column; wanted one of: {', '.join(known)}")


def _groups(manifest: Manifest, by: str, normalize: TextNormalizer | None) -> list[list[int]]:
    """Rows that hang together, directly or through others, in the order of their first row."""
    parents = list(range(len(manifest)))

    def root(row: int) -> int:
        while parents[row] != row:
            parents[row] = row = parents[parents[row]]
        return row

    first: dict[Hashable, int] = {}
    for row, utterance in enumerate(manifest):
        for tie in _ties(utterance, by, normalize):
            one, two = sorted((root(first.setdefault(tie, row)), root(row)))
            parents[two] = one
    members: dict[int, list[int]] = defaultdict(list)
    for row in range(len(manifest)):
        members[root(row)].append(row)
    return list(members.values())


def _ties(utterance: Utterance, by: str, normalize: TextNormalizer | None) -> Iterable[tuple[str, str]]:
    yield "file", utterance.source.name
    if (value := utterance.value(by)) is not None:
        yield by, str(value)
    if normalize is not None and utterance.label is None and (text := normalize(utterance.text or "")):
        yield "text", text


def _weights(manifest: Manifest) -> list[float]:
    known = [utterance.duration for utterance in manifest]
    return [1.0 if None in known else duration or 0.0 for duration in known]


def _deal(
    groups: list[list[int]], shares: dict[str, float], weights: list[float], manifest: Manifest, seed: int
) -> dict[str, list[int]]:
    """Large groups first, each to the split whose distance from its share of every label shrinks most."""
    contents: list[Counter[str]] = [Counter() for _ in groups]
    for content, group in zip(contents, groups, strict=True):
        for row in group:
            content[manifest[row].label or ""] += weights[row]  # type: ignore[assignment]
    total = sum(contents, Counter())
    lacks = {name: {label: share * amount for label, amount in total.items()} for name, share in shares.items()}
    order = list(range(len(groups)))
    random.Random(seed).shuffle(order)
    order.sort(key=lambda number: -contents[number].total())
    dealt: dict[str, list[int]] = {name: [] for name in shares}
    for number in order:
        content = contents[number]
        gains = {
            name: sum(amount * (lacks[name][label] - amount / 2) / total[label] for label, amount in content.items())
            / share
            for name, share in shares.items()
        }
        best = max(gains, key=lambda name: gains[name])
        dealt[best] += groups[number]
        for label, amount in content.items():
            lacks[best][label] -= amount
    return dealt


def _check_shares(
    dealt: dict[str, list[int]],
    shares: dict[str, float],
    groups: list[list[int]],
    manifest: Manifest,
    by: str,
    allow_shared_text: bool,
) -> None:
    """Every split has at least some of its share, or it is said why not and what helps."""
    for name, rows in dealt.items():
        if len(rows) >= max(1.0, _LEAST_OF_SHARE * shares[name] * len(manifest)):
            continue
        largest = max(map(len, groups))
        seen = f"{manifest.path}: {len(groups)} groups of utterances, the largest of {largest / len(manifest):.0%}"
        if allow_shared_text or len(_groups(manifest, by, None)) <= len(groups):
            raise DataError(
                f"{seen}, are too few for a {name} split of {shares[name]:.0%} with whole {by}s; "
                "name another column by --by, or collect more"
            )
        raise DataError(
            f"{seen}: {by}s hang together by sentences that several of them say, so there is no {name} split without "
            f"shared sentences; --allow-shared-text splits by {by} alone"
        )
