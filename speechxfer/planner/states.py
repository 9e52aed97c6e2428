"""Hidden states of a sample at several seams of a frozen encoder, computed in one pass."""

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

#: The baseline without a model: the spectrogram.
RAW = "log-mel"
_RAW_BINS = 80
#: Seconds of audio in one batch.
_BATCH_S = 30.0


@dataclass(frozen=True)
class SeamStates:
    """Hidden states of a sample at one seam of an encoder."""

    #: The part below the seam.
    name: str
    #: Layers below it, as in `plan.freeze_below`; None for the spectrogram.
    seam: int | None
    #: Frames per second.
    frame_rate: float
    #: Float16 [frames, width] of each utterance.
    states: list[Tensor]


def sample(manifest: Manifest, seconds: float, *, seed: int = 0) -> Manifest:
    """A random sample of utterances of about this duration, from all classes in turn if lines have labels."""
    by_label: dict[str | None, list[Utterance]] = defaultdict(list)
    for utterance in manifest.with_durations():
        by_label[utterance.label].append(utterance)
    generator = random.Random(seed)
    for utterances in by_label.values():
        generator.shuffle(utterances)
    turns = max(map(len, by_label.values()))
    drawn: list[Utterance] = []
    duration_s = 0.0
    for turn in range(turns):
        for utterances in by_label.values():
            if turn < len(utterances) and (duration_s < seconds or not drawn):
                drawn.append(utterances[turn])
                duration_s += utterances[turn].duration or 0.0
    return Manifest(drawn, manifest.path)


def check_seams(encoder: Encoder, seams: Sequence[int] | None) -> list[int]:
    """The requested seams, sorted, or all of them.

    Raises:
        ConfigError: a seam that does not exist.
    """
    for seam in seams or ():
        if not 0 <= seam <= encoder.depth:
            raise ConfigError(f"layer {seam}: {encoder.family} encoder has {encoder.depth} layers; wanted 0 (below all of them) to {encoder.depth}")  # fmt: skip  # noqa: E501
    return sorted(set(seams)) if seams else list(range(encoder.depth + 1))


@torch.inference_mode()
def states_at_seams(encoder: Encoder, manifest: Manifest, seams: Sequence[int], progress: Progress) -> list[SeamStates]:
    """The spectrogram and the hidden states at these seams (ascending) of all utterances, in memory on the CPU.

    Raises:
        DataError: unreadable audio, or audio longer than the encoder accepts.
    """
    durations = durations_s(manifest, encoder.max_duration_s)
    costs = list(map(encoder.computed_s, durations))
    found: list[list[Tensor]] = [[torch.empty(0)] * len(manifest) for _ in range(len(seams) + 1)]
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
            for number, (below, seam) in enumerate(zip([0, *seams], seams, strict=False), start=1):
                states = encoder.run(states, lengths, below, seam)
                kept, counts = states.float().cpu(), encoder.frames_at(lengths, seam).clamp(min=1).tolist()
                for row, index in enumerate(batch):
                    found[number][index] = _half(kept[row, : counts[row]])
            advance(sum(costs[index] for index in batch))
    names = {group.seam: group.name for group in encoder.layer_groups()}
    made = [SeamStates(RAW, None, 50.0, found[0])]
    for seam, states_at in zip(seams, found[1:], strict=True):
        made.append(
            SeamStates(names.get(seam, f"seam {seam}"), seam, encoder.frames_at(encoder.frame_rate, seam), states_at)
        )
    return made


def _pairs(bins: Tensor, num_samples: int) -> Tensor:
    """[mel bins, 10 ms steps] -> [frames, 2 * mel bins]: pairs of steps, at the frame rate of an encoder."""
    steps = bins[:, : max(num_samples // 160, 1)].T
    steps = torch.cat([steps, steps[-1:]]) if len(steps) % 2 else steps
    return _half(steps.reshape(len(steps) // 2, -1))


def _half(states: Tensor) -> Tensor:
    """Float16, with outliers clipped instead of infinite."""
    limit = torch.finfo(torch.float16).max
    return states.clamp(-limit, limit).half()
