"""Decoding dev, and what is to be retained, after every epoch."""

from __future__ import annotations

import time

import torch

from speechxfer.data.text import TextNormalizer
from speechxfer.decoding.options import DecodingOptions
from speechxfer.training.callbacks.base import Callback
from speechxfer.training.feeding import Examples
from speechxfer.training.measuring import Measured, measure
from speechxfer.training.state import TrainingState


class Validation(Callback):
    """Measures the model on dev, and on what is to be retained where there is something.

    Args:
        examples: "dev" and perhaps "retain", at the present seam; `Unfreezing` moves them with it.
        normalizer: how texts are written before errors are counted.
        precision: of the forward pass.
        retain_options: how what is to be retained is decoded.
    """

    def __init__(
        self, examples: dict[str, Examples], normalizer: TextNormalizer, precision: torch.dtype,
        retain_options: DecodingOptions | None,
    ) -> None:  # fmt: skip
        self.examples = examples
        self._normalizer, self._precision = normalizer, precision
        self._options = {"retain": retain_options}

    def on_validation(self, state: TrainingState) -> None:
        """Decode and score."""
        started = time.monotonic()
        measured = {name: self._measured(name, state) for name in self.examples}
        state.dev, state.retained = measured["dev"], measured.get("retain")
        state.position.dev_s += time.monotonic() - started

    def _measured(self, name: str, state: TrainingState) -> Measured:
        return measure(
            state.model, self.examples[name], self._normalizer, world=state.world, precision=self._precision,
            options=self._options.get(name),
        )  # fmt: skip
