from __future__ import annotations

import torch

from speechxfer.config import AugmentConfig
from speechxfer.data.augment import distortion, frame_mask


def masked(config: AugmentConfig, seed: int = 1, size: int = 400) -> torch.Tensor:
    mask = frame_mask([(seed, row) for row in range(50)], torch.full((50,), size), 64, config)
    states = torch.ones(50, size, 64)
    return states if mask is None else mask(states)


def test_about_the_wanted_share_vanishes_in_spans() -> None:
    frames = masked(AugmentConfig(mask_time_prob=0.2, mask_time_length=10, mask_feature_prob=0.0))[:, :, 0]
    assert 0.13 < (frames == 0).float().mean() < 0.22  # spans overlap, so somewhat less than a fifth
    changes = (frames[:, 1:] != frames[:, :-1]).float().mean()
    assert changes < 0.05


def test_channels_vanish_for_a_whole_utterance() -> None:
    out = masked(AugmentConfig(mask_time_prob=0.0, mask_feature_prob=0.1))
    gone = (out == 0).all(dim=1)
    assert torch.equal(gone, (out == 0).any(dim=1))
    assert 0.05 < gone.float().mean() < 0.13


def test_the_seed_decides() -> None:
    config = AugmentConfig(mask_time_prob=0.3)
    assert torch.equal(masked(config), masked(config))
    assert not torch.equal(masked(config), masked(config, seed=2))


def test_what_is_hidden_does_not_depend_on_neighbours() -> None:
    config = AugmentConfig(mask_time_prob=0.2, mask_feature_prob=0.1)
    seeds, frames = [(1, 0, index) for index in range(3)], torch.tensor([50, 90, 70])
    together = frame_mask(seeds, frames, 16, config)
    alone = frame_mask(seeds[:1], frames[:1], 16, config)
    assert together is not None
    assert alone is not None
    assert torch.equal(together.frames[:1, :50], alone.frames)
    assert torch.equal(together.features[:1], alone.features)
    assert not together.frames[0, 50:].any()


def test_an_utterance_keeps_something_to_be_recognized_by() -> None:
    assert (
        masked(AugmentConfig(mask_time_prob=0.9, mask_time_length=30, mask_feature_prob=0.0), size=20).any(dim=1).all()
    )


def test_nothing_asked_nothing_done() -> None:
    assert masked(AugmentConfig(mask_time_prob=0.0, mask_feature_prob=0.0)).all()


def test_without_channels_that_may_be_hidden_only_frames_are() -> None:
    seeds, frames = [(1, 0, index) for index in range(3)], torch.tensor([50, 90, 70])
    some, none = (frame_mask(seeds, frames, width, AugmentConfig(mask_feature_prob=0.5)) for width in (16, 0))
    assert some is not None
    assert none is not None
    assert torch.equal(some.frames, none.frames)
    out = none(torch.ones(3, 90, 16))
    assert torch.equal(out == 0, none.frames[:, :, None].expand(3, 90, 16))
    assert frame_mask(seeds, frames, 0, AugmentConfig(mask_time_prob=0.0)) is None


def test_frequencies_are_warped_by_an_utterance_s_own_chance() -> None:
    config, steps = AugmentConfig(where="spectrogram", frequency_warp=0.1), torch.tensor([50, 90, 70])
    seeds = [(1, 0, index) for index in range(3)]
    together = distortion(seeds, steps, 80, config)
    alone = distortion(seeds[1:2], steps[1:2], 80, config)
    other = distortion([(1, 1, index) for index in range(3)], steps, 80, config)
    assert together.warps is not None
    assert alone.warps is not None
    assert torch.equal(together.warps[1:2], alone.warps)
    assert ((together.warps - 1).abs() <= 0.1).all()
    assert not torch.equal(together.warps, other.warps)  # in the next epoch it is another
    assert distortion(seeds, steps, 80, AugmentConfig(where="spectrogram")).warps is None
