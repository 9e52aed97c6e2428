"""Every beginning of the training data stands for the whole."""

from __future__ import annotations

import random
from collections import Counter

from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.planner.subsets import beginning, nested


def test_a_beginning_has_all_classes_speakers_and_lengths() -> None:
    generator = random.Random(1)
    rows = [
        Utterance(audio=f"{n}.wav", label="ab"[n % 3 == 0], speaker=f"s{n % 4}", duration=generator.uniform(1, 9))
        for n in range(240)
    ]
    whole = nested(Manifest(rows))
    assert sorted(one.audio for one in whole) == sorted(one.audio for one in rows)
    for size in (24, 60):
        part = whole[:size]
        labels, speakers = Counter(one.label for one in part), Counter(one.speaker for one in part)
        assert abs(labels["b"] / size - 1 / 3) < 0.1
        assert all(abs(count / size - 1 / 4) < 0.1 for count in speakers.values())
        assert abs(part.duration_s / size - whole.duration_s / 240) < 0.7
    assert list(nested(Manifest(rows))) == list(whole)


def test_a_beginning_has_so_many_seconds() -> None:
    manifest = Manifest(Utterance(audio=f"{number}.wav", duration=2.0) for number in range(10))
    assert beginning(manifest, 5.0) == 3
    assert beginning(manifest, 5.0, fewest=6) == 6
    assert beginning(manifest, 500.0) == 10
