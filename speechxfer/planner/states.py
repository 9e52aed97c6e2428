"""The hidden states of a sample at every cut of a frozen encoder, from one pass over it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from speechxfer.data.batching import batches
from speechxfer.data.loading import durations_s, read
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.log_mel import LogMel
from speechxfer.errors import ConfigError
from speechxfer.progress import Progress

#: What stands for the sound itself: the spectrogram that no model has seen yet.
RAW = "log-mel"
_RAW_BINS = 80
#: Seconds of audio computed together.
_BATCH_S = 30.0


@dataclass(frozen=True)
class CutStates:
    """A sample at one cut of an encoder."""

    #: What stands below the cut.
    name: str
    #: As `plan.freeze_below` counts; None for the spectrogram.
    cut: int | None
    #: Frames a second.
    frame_rate: float
    #: Of each utterance [frames, width], in half precision.
    states: list[Tensor]


def sample(manifest: Manifest, seconds: float, *, seed: int = 0) -> Manifest:
    """Utterances drawn by chance until they last so long, from all classes in turn where lines have labels."""
    by_label: dict[str | None, list[Utterance]] = defaultdict(list)
    for utterance in manifest.with_durations():
        by_label[utterance.label].append(utterance)
    chance = random.Random(seed)
    for utterances in by_label.values():
        chance.shuffle(utterances)
    turns = max(map(len, by_label.values()))
    drawn: list[Utterance] = []
    lasting = 0.0
    for turn in range(turns):
        for utterances in by_label.values():
            if turn < len(utterances) and (lasting < seconds or not drawn):
                drawn.append(utterances[turn])
                lasting += utterances[turn].duration or 0.0
    return Manifest(drawn, manifest.path)


def check_cuts(encoder: Encoder, cuts: Sequence[int] | None) -> list[int]:
    """The cuts that are asked for, or all of them.

    Raises:
        ConfigError: there is no such cut.
    """
    for cut in cuts or ():
        if not 0 <= cut <= encoder.depth:
            raise ConfigError(f"layer {cut}: {encoder.family} encoder has {encoder.depth} layers; wanted 0 (what stands below them) to {encoder.depth}")  # fmt: skip  # noqa: E501
    return sorted(set(cuts)) if cuts else list(range(encoder.depth + 1))


@torch.inference_mode()
def every_cut(encoder: Encoder, manifest: Manifest, cuts: Sequence[int], progress: Progress) -> list[CutStates]:
    """Hidden states of all utterances at the spectrogram and at these cuts (ascending), kept in memory on the CPU.

    Raises:
        DataError: unreadable audio, or longer than the encoder takes.
    """
    durations = durations_s(manifest, encoder.max_duration_s)
    costs = list(map(encoder.computed_s, durations))
    found: list[list[Tensor]] = [[torch.empty(0)] * len(manifest) for _ in range(len(cuts) + 1)]
    device = next(encoder.parameters()).device
    log_mel = LogMel(_RAW_BINS)
    encoder.eval()
    with progress.task("hidden states", sum(costs)) as advance:
        for batch in batches(range(len(manifest)), costs, _BATCH_S):
            waveforms, num_samples = encoder.collate([read(manifest[index], progress) for index in batch])
            bins = log_mel(waveforms, num_samples)
            for row, index in enumerate(batch):
                found[0][index] = _pairs(bins[row], int(num_samples[row]))
            lengths = encoder.num_frames(num_samples)
            states, _ = encoder.frontend(waveforms.to(device), num_samples.to(device))
            for place, (below, cut) in enumerate(zip([0, *cuts], cuts, strict=False), start=1):
                states = encoder.run(states, lengths, below, cut)
                kept, counts = states.float().cpu(), encoder.frames_at(lengths, cut).clamp(min=1).tolist()
                for row, index in enumerate(batch):
                    found[place][index] = _half(kept[row, : counts[row]])
            advance(sum(costs[index] for index in batch))
    names = {group.seam: group.name for group in encoder.layer_groups()}
    made = [CutStates(RAW, None, 50.0, found[0])]
    for cut, states_at in zip(cuts, found[1:], strict=True):
        made.append(CutStates(names.get(cut, f"cut {cut}"), cut, encoder.frames_at(encoder.frame_rate, cut), states_at))
    return made


def _pairs(bins: Tensor, num_samples: int) -> Tensor:
    """[mel bins, 10 ms steps] -> two steps side by side as one frame [frames, 2 * mel bins], like an encoder's rate."""
    steps = bins[:, : max(num_samples // 160, 1)].T
    steps = torch.cat([steps, steps[-1:]]) if len(steps) % 2 else steps
    return _half(steps.reshape(len(steps) // 2, -1))


def _half(states: Tensor) -> Tensor:
    """In half precision, in which outliers of a few channels are cut off rather than infinite."""
    limit = torch.finfo(torch.float16).max
    return states.clamp(-limit, limit).half()
