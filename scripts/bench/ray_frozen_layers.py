"""The frozen layers of a run, computed by this process with all cores, and by workers of Ray with a core each.

    python -m scripts.bench.ray_frozen_layers MODEL MANIFEST [--rounds 3]

Both compute all layers but the top one, by turns. Seconds are by the clock, and those of Ray hold its start and sending
the encoder. States of both are compared in float32.
"""

from __future__ import annotations

import statistics
import time

import click
import torch

from scripts.bench.machine import describe
from speechxfer.config import TrainingConfig
from speechxfer.data.manifest import Manifest
from speechxfer.encoders.checkpoints import find
from speechxfer.jobs.on_ray import OnRay
from speechxfer.opening import open_checkpoint
from speechxfer.progress import Progress
from speechxfer.training.distributed import World
from speechxfer.training.inputs import CachedInputs
from speechxfer.training.preparation import Preparation


@click.command()
@click.argument("model")
@click.argument("manifest")
@click.option("--rounds", default=3, show_default=True)
def main(model: str, manifest: str, rounds: int) -> None:
    """Print the medians, and the largest difference of a state."""
    encoder, utterances = open_checkpoint(find(model)).encoder, Manifest.read(manifest).with_durations()
    seconds: dict[str, list[float]] = {"this process": [], "Ray": []}
    difference = largest = 0.0
    for _ in range(rounds):
        kept = {}
        for name, engine in (("this process", None), ("Ray", OnRay(gpus=False))):
            training, began = TrainingConfig(cache="memory", cache_dtype="float32"), time.monotonic()
            preparation = Preparation(encoder, training, torch.float32, World(), Progress(), engine)
            inputs = preparation.inputs(utterances, encoder.depth - 1, "dev")
            seconds[name].append(time.monotonic() - began)
            assert isinstance(inputs, CachedInputs)
            kept[name] = inputs.kept
        for key, states in kept["this process"].items():
            other = kept["Ray"][key].hidden_states
            difference = max(difference, (states.hidden_states - other).abs().max().item())
            largest = max(largest, other.abs().max().item())
    audio_s = sum(one.duration or 0.0 for one in utterances)
    for name, found in seconds.items():
        median = statistics.median(found)
        print(f"{name}: {median:.1f} s ({', '.join(f'{one:.1f}' for one in found)}), {audio_s / median:.0f} times as fast as speech")  # fmt: skip  # noqa: E501
    print(f"{len(utterances)} utterances, {audio_s:.0f} s; states differ by at most {difference:.1e}, the largest is {largest:.1f}")  # fmt: skip  # noqa: E501
    print(describe())


if __name__ == "__main__":
    main()
