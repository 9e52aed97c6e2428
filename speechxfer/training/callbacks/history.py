"""The figures of a run: of some steps and of every epoch to the trackers, of every epoch in the run's folder."""

from __future__ import annotations

from speechxfer.training import curves
from speechxfer.training.callbacks.base import Callback
from speechxfer.training.state import TrainingState

#: Steps from one loss and gradient norm that are logged to the next.
_LOG_EVERY = 10


class History(Callback):
    """Logs the run's own figures, writes each epoch's line and prints it."""

    def on_figures(self, state: TrainingState) -> None:
        """Log some of the steps."""
        for figures in state.recent:
            if figures.step % _LOG_EVERY == 0:
                values = {"train/loss": figures.loss, "train/gradient_norm": figures.gradient_norm}
                state.log(values, figures.step)

    def on_validation(self, state: TrainingState) -> None:
        """Write, log and print the epoch."""
        if state.dev is None:
            return
        state.figures = curves.line(
            state.position, state.dev, state.retained, state.learning_rates,
            padding=state.padding, waited=state.waited,
        )  # fmt: skip
        if state.is_main:
            state.folder.write_epoch(state.figures)
        state.log(curves.tagged(state.figures))
        retained = f"  retained {state.retained.scores}" if state.retained else ""
        news = "  best so far" if state.is_best else ""
        loss = state.position.mean_loss
        state.progress.log(f"epoch {state.epoch:3}  loss {loss:7.4f}  dev {state.dev.scores}{retained}{news}")
