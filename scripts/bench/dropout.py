"""What dropout of 16 bits a value saves in a step on a CPU: steps of one run, with PyTorch's own in every second one.

OMP_NUM_THREADS=1 python -m scripts.bench.dropout data/ivr-it --config recipes/ivr_prompts/ctc.toml
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import click

import speechxfer as sx
from speechxfer.encoders.dropout import CheapDropout
from speechxfer.training import step
from speechxfer.training.callbacks.base import Callback
from speechxfer.training.step import StepResult, TrainStep

#: Steps before the first one that counts.
_WARMUP = 10


class Alternating(Callback):
    """Times steps by turns with one kind of dropout and the other, and ends the run after enough of them."""

    def __init__(self, steps: int) -> None:
        self.seconds: dict[bool, list[float]] = {True: [], False: []}
        self._steps, self._own = steps, True
        take = TrainStep.__call__

        def dropout() -> Any:
            return CheapDropout() if self._own else contextlib.nullcontext()

        def timed(taker: TrainStep, *arguments: Any, **options: Any) -> StepResult:
            begun = time.process_time()
            result = take(taker, *arguments, **options)
            self.seconds[self._own].append(time.process_time() - begun)
            self._own = not self._own
            return result

        vars(step)["CheapDropout"] = dropout
        TrainStep.__call__ = timed  # type: ignore[assignment,method-assign]

    def on_figures(self, state: sx.TrainingState) -> None:
        """Stop after enough steps."""
        if state.position.step >= self._steps:
            state.stop("enough steps are timed")


@click.command()
@click.argument("corpus", type=click.Path(exists=True, path_type=Path))
@click.option("--config", type=click.Path(exists=True), required=True)
@click.option("--steps", default=200, show_default=True)
def main(corpus: Path, config: str, steps: int) -> None:
    """Print processor time of a step, with each kind of dropout."""
    counter = Alternating(steps)
    with tempfile.TemporaryDirectory() as work:
        few = {"speed_copies": 0, "epochs": 9}
        sx.finetune(
            config=config, train=f"{corpus}/train.jsonl", dev=f"{corpus}/dev.jsonl", output=f"{work}/run",
            training=few, language_model="none", callbacks=[counter],
        )  # fmt: skip
    own, usual = (1000 * median(counter.seconds[kind][_WARMUP:]) for kind in (True, False))
    click.echo(
        f"a step, median of {steps // 2} each: {own:.0f} ms, {usual:.0f} ms with PyTorch's: {1 - own / usual:.0%} less"
    )


if __name__ == "__main__":
    main()
