from __future__ import annotations

import torch

from speechxfer.config import AugmentConfig
from speechxfer.data.augment import mask_frames


def masked(config: AugmentConfig, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return mask_frames(torch.ones(50, 400, 64), torch.full((50,), 400), config, generator)


def test_about_the_wanted_share_vanishes_in_spans() -> None:
    frames = masked(AugmentConfig(time_share=0.2, time_frames=10, channel_share=0.0))[:, :, 0]
    assert 0.13 < (frames == 0).float().mean() < 0.22  # spans overlap, so somewhat less than a fifth
    changes = (frames[:, 1:] != frames[:, :-1]).float().mean()
    assert changes < 0.05


def test_channels_vanish_for_a_whole_utterance() -> None:
    out = masked(AugmentConfig(time_share=0.0, channel_share=0.1))
    gone = (out == 0).all(dim=1)
    assert torch.equal(gone, (out == 0).any(dim=1))
    assert 0.05 < gone.float().mean() < 0.13


def test_the_seed_decides() -> None:
    config = AugmentConfig(time_share=0.3)
    assert torch.equal(masked(config), masked(config))
    assert not torch.equal(masked(config), masked(config, seed=2))


def test_nothing_asked_nothing_done() -> None:
    assert masked(AugmentConfig(time_share=0.0, channel_share=0.0)).all()
