"""The training loop: one function, read in one sitting."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from speechxfer.config import AugmentConfig, TrainingConfig
from speechxfer.data.augment import mask_frames
from speechxfer.data.batching import by_length, shuffled
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import TextNormalizer
from speechxfer.errors import TrainingError
from speechxfer.evaluation.metrics import ErrorRates, error_rates
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress
from speechxfer.storage import write_text
from speechxfer.training import checkpoint
from speechxfer.training.frozen_prefix import Inputs
from speechxfer.training.optimizer import rate_factor
from speechxfer.transfer.plan import TransferPlan

_DECODE_S = 30.0


@dataclass(frozen=True)
class Examples:
    """What is trained or measured on: inputs at the seam, the lines they came from, and their labels."""

    inputs: Inputs
    manifest: Manifest
    targets: list[list[int]]


def fit(
    model: SpeechModel,
    plan: TransferPlan,
    train: Examples,
    dev: Examples,
    training: TrainingConfig,
    augment: AugmentConfig,
    folder: Path,
    *,
    normalizer: TextNormalizer,
    resume: bool,
    progress: Progress,
) -> checkpoint.Position:
    """Train the plan's suffix; the best model by dev WER is in `folder/model`, the last state in `checkpoints`.

    Interrupted (Ctrl-C), it writes the state it has and passes the interruption on.

    Raises:
        TrainingError: the loss is not a number any more.
        StorageError: the disk is full; what was written before stays good.
    """
    last = folder / "checkpoints" / "last"
    optimizer = torch.optim.AdamW(plan.parameter_groups(model, training.weight_decay), betas=(0.9, 0.98))
    peaks = [group["lr"] for group in optimizer.param_groups]
    at = checkpoint.load(last, model, optimizer) if resume and last.is_dir() else checkpoint.Position()
    model.encoder.set_dropout(training.dropout)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with progress.task("training", training.epochs) as advance, _interrupted_between_steps() as pause:
        advance(at.epoch)
        try:
            while at.epoch < training.epochs and not _stuck(at, training.patience):
                started = time.monotonic()
                durations = train.inputs.durations_s(at.epoch)
                batches = shuffled(durations, training.batch_s, seed=training.seed, epoch=at.epoch)
                advance(at.batch / len(batches))
                model.train()
                while at.batch < len(batches):
                    share_done = (at.epoch + at.batch / len(batches)) / training.epochs
                    factor = rate_factor(share_done, training.warmup)
                    for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                        group["lr"] = peak * factor
                    loss, labels = _loss(model, train, batches[at.batch], at, training.seed, augment)
                    at.loss += _finite(loss.item(), at)
                    torch.autograd.backward(loss / max(labels, 1))
                    torch.nn.utils.clip_grad_norm_(trained, training.clip_norm)
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
                    at.labels, at.batch, at.step = at.labels + labels, at.batch + 1, at.step + 1
                    advance(1 / len(batches))
                    pause()
                rates = dev_rates(model, dev, normalizer)
                _record(folder, at, rates, time.monotonic() - started)
                is_best = at.best is None or (rates.wer, rates.cer) < at.best
                if is_best:
                    at.best, at.best_epoch = (rates.wer, rates.cer), at.epoch + 1
                    model.save(folder / "model")
                mean = at.loss / max(at.labels, 1)
                news = "  best so far" if is_best else ""
                progress.say(f"epoch {at.epoch + 1:3}  loss {mean:7.4f}  dev {rates}{news}")
                at.epoch, at.batch, at.loss, at.labels = at.epoch + 1, 0, 0.0, 0
                checkpoint.save(last, model, optimizer, at)
        except KeyboardInterrupt:
            checkpoint.save(last, model, optimizer, at)
            if at.best is None:
                model.save(folder / "model")
            raise
    return at


@contextlib.contextmanager
def _interrupted_between_steps() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the yielded function is called, so that no step is cut in two; a second is not held."""
    held = False

    def hold(number: int, frame: FrameType | None) -> None:
        nonlocal held
        if held:
            signal.default_int_handler(number, frame)
        held = True

    def pause() -> None:
        if held:
            raise KeyboardInterrupt

    # Only in place of Python's own handler: a job in the background ignores Ctrl-C, an application may have its own.
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if ours:
        signal.signal(signal.SIGINT, hold)
    try:
        yield pause
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _loss(
    model: SpeechModel,
    train: Examples,
    indices: Sequence[int],
    at: checkpoint.Position,
    seed: int,
    augment: AugmentConfig,
) -> tuple[torch.Tensor, int]:
    """The summed loss of a batch and its number of labels. Chance depends on seed and step alone."""
    torch.manual_seed(seed * 1_000_003 + at.step)
    generator = torch.Generator().manual_seed(seed * 1_000_003 + at.step)
    inputs, encoder = train.inputs, model.encoder
    hidden_states, num_frames = inputs.batch(indices, at.epoch)
    hidden_states = mask_frames(hidden_states, num_frames, augment, generator)
    hidden_states = encoder.run(hidden_states, num_frames, inputs.cut, encoder.depth)
    targets = [train.targets[index] for index in indices]
    return model.head.loss(hidden_states, num_frames, targets), sum(len(target) for target in targets)


@torch.inference_mode()
def dev_rates(model: SpeechModel, dev: Examples, normalizer: TextNormalizer) -> ErrorRates:
    """Error rates of real decoding, from the hidden states at the seam."""
    model.eval()
    found: dict[int, str] = {}
    for indices in by_length(dev.inputs.durations_s(0), _DECODE_S):
        hidden_states, num_frames = dev.inputs.batch(indices, 0)
        hidden_states = model.encoder.run(hidden_states, num_frames, dev.inputs.cut, model.encoder.depth)
        hypotheses = model.head.decode(hidden_states, num_frames)
        found.update((index, item.text) for index, item in zip(indices, hypotheses, strict=True))
    references = [utterance.text or "" for utterance in dev.manifest]
    return error_rates(references, [found[index] for index in range(len(references))], normalizer)


def _finite(loss: float, at: checkpoint.Position) -> float:
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss is {loss} in epoch {at.epoch + 1}, step {at.step + 1}; the best model so far is kept. "
            "Try half the learning rates (--encoder-lr, --head-lr)"
        )
    return loss


def _stuck(at: checkpoint.Position, patience: int) -> bool:
    return bool(patience) and at.best is not None and at.epoch - at.best_epoch >= patience


def _record(folder: Path, at: checkpoint.Position, rates: ErrorRates, seconds: float) -> None:
    """One line of `metrics.jsonl`; a line of this epoch from an earlier try is replaced."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines()[: at.epoch] if path.exists() else []
    line: dict[str, Any] = {
        "epoch": at.epoch + 1,
        "step": at.step,
        "loss": at.loss / max(at.labels, 1),
        "dev_wer": rates.wer,
        "dev_cer": rates.cer,
        "seconds": round(seconds, 2),
    }
    write_text(path, "".join(f"{item}\n" for item in [*lines, json.dumps(line)]))
