"""A run's figures by epoch, and where it began to overfit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from speechxfer.runs import Epoch
from speechxfer.training.checkpoint import Position
from speechxfer.training.measuring import Measured

#: Epochs that have to follow the lowest dev loss, and how far the last has to stand above it, before it is called
#: overfitting: less is the noise of a small dev set.
_EPOCHS_AFTER, _RISE = 2, 0.05
#: Prefixes of the figures of other splits than training.
_SPLITS = ("dev", "retain")


@dataclass(frozen=True)
class Overfitting:
    """From some epoch on (counted from 1) the training loss still falls, but the loss on dev rises."""

    from_epoch: int
    train_loss: tuple[float, float]
    dev_loss: tuple[float, float]
    best_epoch: int

    def __str__(self) -> str:
        falls, rises = (f"{first:.3g} -> {last:.3g}" for first, last in (self.train_loss, self.dev_loss))
        later = f" (dev's score was still best in epoch {self.best_epoch})" if self.best_epoch >= self.from_epoch else ""  # fmt: skip  # noqa: E501
        return f"overfitting from epoch {self.from_epoch}: dev loss {rises} while the training loss fell {falls}{later}"


def line(
    at: Position, dev: Measured, retained: Measured | None, rates: Mapping[str, float], *, padding: float, waited: float
) -> Epoch:
    """What an epoch leaves: losses a label, the gradient's mean norm, the last rates, scores, and what it cost.

    Args:
        at: where its last step left the run.
        rates: of "encoder" and "head", as far as they are trained.
        padding: fraction of what was computed that is padding.
        waited: fraction of the time spent waiting for data.
    """
    values = {"epoch": at.epoch + 1, "step": at.step, "loss": at.mean_loss, "gradient_norm": at.norm / max(at.batch, 1)}
    values |= {f"{part}_rate": rate for part, rate in rates.items()}
    values |= {} if dev.loss is None else {"dev_loss": dev.loss}
    values |= {f"dev_{name}": value for name, value in dev.scores.summary.items()}
    values |= {f"retain_{name}": value for name, value in (retained.scores.summary if retained else {}).items()}
    values |= {"padding": round(padding, 4), "waited": round(waited, 4)}
    return values | {"training_s": round(at.training_s, 2), "dev_s": round(at.dev_s, 2)}


def tagged(line: Mapping[str, Any]) -> dict[str, float]:
    """An epoch's figures by the names under which TensorBoard groups them: "dev/wer", "epoch/loss"."""
    tags = {}
    for name, value in line.items():
        split, _, rest = name.partition("_")
        known = split in _SPLITS and not name.endswith("_s")  # seconds are the loop's
        if name not in ("epoch", "step"):
            tags[f"{split}/{rest}" if known else f"epoch/{name}"] = float(value)
    return tags


def overfitting(lines: Sequence[Mapping[str, Any]], best_epoch: int) -> Overfitting | None:
    """Where overfitting began: after the epoch with the lowest dev loss.

    It is only called so where at least two epochs followed, the dev loss of the last is at least 5 % above the lowest,
    and the training loss fell meanwhile. The score that chooses the best epoch may still improve then: a model that
    grows too sure of itself pays for its errors, even if they become fewer.
    """
    dev = [line.get("dev_loss") for line in lines]
    if not dev or None in dev:
        return None
    losses = [float(value) for value in dev if value is not None]
    lowest = losses.index(min(losses))
    train = (float(lines[lowest]["loss"]), float(lines[-1]["loss"]))
    rose = losses[-1] > (1 + _RISE) * losses[lowest]
    if len(losses) - 1 - lowest < _EPOCHS_AFTER or not rose or train[1] >= train[0]:
        return None
    return Overfitting(lowest + 2, train, (losses[lowest], losses[-1]), best_epoch)
