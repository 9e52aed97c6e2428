"""Layers that say more of the labels have more evidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import speechxfer as sx
from speechxfer.data.text import TextNormalizer
from speechxfer.encoders.checkpoints import find
from speechxfer.opening import open_checkpoint
from speechxfer.planner.transferability import evidence, score


def test_what_is_linear_in_the_labels_has_more_evidence() -> None:
    generator = np.random.default_rng(1)
    features = generator.normal(size=(80, 20))
    clear = features @ generator.normal(size=(20, 3))
    noisy = clear + 3.0 * clear.std() * generator.normal(size=clear.shape)
    noise = generator.normal(size=clear.shape)
    assert evidence(features, clear) > evidence(features, noisy) > evidence(features, noise)
    # Channels that say nothing cost evidence; more of them than utterances as well.
    wide = np.concatenate([features, generator.normal(size=(80, 100))], axis=1)
    assert evidence(features, clear) > evidence(wide, clear) > evidence(wide[:, 20:], clear)


def test_every_layer_has_a_score_where_there_is_time(spoken: dict[str, Path], whisper_folder: Path) -> None:
    encoder = open_checkpoint(find(str(whisper_folder))).encoder
    train = sx.Manifest.read(spoken["train"]).with_durations()
    found = score(encoder, "m", train, 60.0, TextNormalizer(), sx.Progress(), classes=False)
    assert found is not None
    assert len(found.layers) == encoder.depth + 1
    assert found.utterances == len(train)
    assert all(map(np.isfinite, (found.raw, *found.layers)))
    assert score(encoder, "m", train[:6], 60.0, TextNormalizer(), sx.Progress(), classes=False) is None
