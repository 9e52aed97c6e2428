"""What a run starts from: the pre-trained encoder, a head that says what the training manifest does, and a plan."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from speechxfer.config import HEADS, FinetuneConfig, PlanConfig
from speechxfer.data.manifest import Manifest
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import ConfigError
from speechxfer.heads.base import Head
from speechxfer.heads.setup import Setup
from speechxfer.model import SpeechModel
from speechxfer.opening import open_checkpoint
from speechxfer.progress import Progress
from speechxfer.training.usable import usable
from speechxfer.transfer.plan import TransferPlan
from speechxfer.transfer.reshape import needs_new_head, reshape


@dataclass(frozen=True)
class StartingPoint:
    """A model before its first step, on the CPU."""

    model: SpeechModel
    plan: TransferPlan
    #: Whether the checkpoint transcribes as it is, so that there is something to compare with.
    transcribes: bool
    #: What of the training manifest can be learned from.
    train: Manifest


def starting_point(
    config: FinetuneConfig, checkpoint: Checkpoint, train: Manifest, progress: Progress
) -> StartingPoint:
    """The pre-trained encoder under a head for the training manifest, and what of it is trained.

    Utterances that cannot be learned from are reported and left out first, so that the model is as without them.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        ConfigError: settings that do not fit the encoder.
        DataError: no utterance can be learned from, or there are texts that the checkpoint's own head cannot write.
    """
    torch.manual_seed(config.training.seed)
    head_class = HEADS.find(config.head, setting="head").load()
    opened = open_checkpoint(checkpoint, head=config.head, **config.encoder_options)
    encoder = opened.encoder
    if not isinstance(opened.head, head_class):
        encoder.set_stacked(False)  # which another head reads
    shape = f"{encoder.family} encoder, {encoder.depth} layers of width {encoder.width}"
    spoken = f", in {opened.language!r} of its {len(checkpoint.languages)} languages" if checkpoint.languages else ""
    progress.log(f"{checkpoint.name}: {shape}{spoken}")
    if config.augment.where == "spectrogram" and not encoder.mel_bands:
        raise ConfigError(f'augment.where is "spectrogram", but {encoder.family} has the waveform itself as input; wanted "seam"')  # fmt: skip  # noqa: E501
    needs_new = needs_new_head(config.plan, encoder)
    plan_config = reshape(config.plan, encoder)
    _pool(config, plan_config, encoder)
    setup = Setup(config, encoder, opened.head, opened.problem, needs_new, bool(plan_config.from_scratch), progress)
    kept = head_class.kept(setup)
    train, draft = usable(train, head_class, setup, kept)
    head: Head = head_class.from_config(setup, draft, train)
    plan = TransferPlan.for_model(plan_config, encoder, head, epochs=config.training.epochs, new_head=kept is None)
    plan.attach(encoder, head)
    if late := [row["part"] for row in plan.table(encoder, head) if (row["first_epoch"] or 0) > config.training.epochs]:
        progress.log(f"warning: the run has {config.training.epochs} epochs, so these are never trained: {', '.join(late)}")  # fmt: skip  # noqa: E501
    # A new head may be for a language that the model lacks.
    language = opened.language if kept is not None or config.language else ""
    model = SpeechModel(encoder, head, opened.source, language)
    return StartingPoint(model, plan, opened.transcribes and head.task == "transcription", train)


def _pool(config: FinetuneConfig, plan_config: PlanConfig, encoder: Encoder) -> None:
    if config.pooling.stride == 1:
        return
    plan = TransferPlan.for_model(plan_config, encoder, None, epochs=config.training.epochs)
    if encoder.pooling is not None:
        raise ConfigError(
            f"pooling.stride is {config.pooling.stride}, but {config.model} pools its frames already; leave "
            "--frame-stride out"
        )
    if plan.seam == encoder.depth:
        raise ConfigError(
            f"pooling.stride is {config.pooling.stride}, but only the head is trained and there is no layer above "
            "the seam to be spared work; train one at least (--train-top 1), or leave --frame-stride out"
        )
    encoder.set_pooling(plan.seam or 0, config.pooling.stride, config.pooling.kind)
