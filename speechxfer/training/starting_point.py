"""What a run starts from: the pre-trained encoder, a head that says what the training manifest does, and a plan."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from speechxfer.config import FinetuneConfig, PlanConfig
from speechxfer.data.labels import ClassLabels
from speechxfer.data.loading import texts
from speechxfer.data.manifest import Manifest
from speechxfer.data.text import CTCVocabulary, TextNormalizer
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import Checkpoint
from speechxfer.errors import ConfigError, DataError
from speechxfer.heads.base import Head
from speechxfer.heads.classification.head import ClassificationHead
from speechxfer.heads.ctc.head import CTCHead
from speechxfer.model import SpeechModel
from speechxfer.opening import Opened, open_checkpoint
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
    opened = open_checkpoint(checkpoint, with_decoder=config.head == "seq2seq", **asdict(config.encoder))
    encoder = opened.encoder
    if opened.head is not None and opened.head.kind != config.head:
        encoder.set_stacked(False)  # what that head reads
    progress.say(f"{checkpoint.name}: {encoder.family} encoder, {encoder.depth} layers of width {encoder.width}")
    if config.augment.where == "spectrogram" and not encoder.mel_bands:
        raise ConfigError(f'augment.where is "spectrogram", but {encoder.family} hears the waveform itself; wanted "seam"')  # fmt: skip  # noqa: E501
    head_is_kept = not needs_new_head(config.plan, encoder)
    wish = reshape(config.plan, encoder)
    _pool(config, wish, encoder)
    existing = opened.head if head_is_kept and _goes_on(config, opened.head) else None
    if config.head == "seq2seq":
        head: Head = _seq2seq_head(config, encoder, opened, anew=bool(wish.from_scratch))
        train = usable(train, encoder, head, config, progress)
    else:
        _check_wanted(config, opened, progress)
        train = usable(train, encoder, existing, config, progress)
        make = _ctc_head if config.head == "ctc" else _classification_head
        head = make(config, encoder, existing, train, progress)
    is_new = config.head != "seq2seq" and existing is None
    plan = TransferPlan.for_model(wish, encoder, head, epochs=config.training.epochs, new_head=is_new)
    plan.attach(encoder, head)
    if late := [row["part"] for row in plan.table(encoder, head) if (row["wakes"] or 0) > config.training.epochs]:
        progress.say(f"warning: the run has {config.training.epochs} epochs, so these never wake up: {', '.join(late)}")  # fmt: skip  # noqa: E501
    transcribes = opened.has_decoder or (opened.head is not None and opened.head.task == "transcription")
    model = SpeechModel(encoder, head, opened.source)
    return StartingPoint(model, plan, transcribes and head.task == "transcription", train)


def _goes_on(config: FinetuneConfig, existing: Head | None) -> bool:
    """Whether the checkpoint's own head is what learns on."""
    is_begun_again = config.head == "ctc" and config.text.vocabulary == "new"
    return existing is not None and existing.kind == config.head and not is_begun_again


def _check_wanted(config: FinetuneConfig, opened: Opened, progress: Progress) -> None:
    """Say that a head which cannot be opened makes room for a new one, unless nobody could expect it to be kept.

    Raises:
        ConfigError: it was to be extended.
    """
    if opened.problem is None or (config.head == "ctc" and config.text.vocabulary == "new"):
        return
    if config.head == "ctc" and config.text.vocabulary == "extend":
        raise ConfigError(f"text.vocabulary is 'extend', but {opened.problem}; take --new-vocabulary")
    progress.say(f"{opened.problem}; a new head is trained in its place")


def _pool(config: FinetuneConfig, wish: PlanConfig, encoder: Encoder) -> None:
    if config.pooling.stride == 1:
        return
    plan = TransferPlan.for_model(wish, encoder, None, epochs=config.training.epochs)
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


def _ctc_head(
    config: FinetuneConfig, encoder: Encoder, existing: Head | None, train: Manifest, progress: Progress
) -> CTCHead:
    """The checkpoint's own head where it has one that writes the texts, or a new one."""
    if not isinstance(existing, CTCHead):
        normalizer = TextNormalizer(config.text.new_head_normalizer)
        vocabulary = CTCVocabulary.from_texts(normalizer(text) for text in texts(train))
        progress.say(f"{len(vocabulary) - 1} characters in the training text: {''.join(vocabulary.symbols)!r}")
        return CTCHead(encoder.width, encoder.output_frame_rate, vocabulary, normalizer, states=encoder.num_states)
    if config.text.normalizer:
        existing.normalizer = TextNormalizer(config.text.normalizer)
    missing = existing.vocabulary.extended("".join(map(existing.normalizer, texts(train))))
    new = missing.symbols[len(existing.vocabulary.symbols) :]
    writes = f"{config.model} has a CTC head for {len(existing.vocabulary.symbols)} characters"
    if not new:
        progress.say(f"{writes}, which is kept")
        return existing
    if config.text.vocabulary != "extend":
        raise DataError(
            f"{train.path}: {''.join(new)!r} occur in the training text (as normalizer {existing.normalizer.name!r} "
            f"writes it), but {writes} without them; write it otherwise with --normalizer, add them with "
            "--extend-vocabulary, or begin with a new head with --new-vocabulary"
        )
    progress.say(f"{writes}, to which {len(new)} are added: {''.join(new)!r}")
    return existing.extended(new)


def _classification_head(
    config: FinetuneConfig, encoder: Encoder, existing: Head | None, train: Manifest, progress: Progress
) -> ClassificationHead:
    """The checkpoint's own head where it has one for these classes, or a new one."""
    classes = config.classification
    labels = ClassLabels.from_manifest(train, multi_label=classes.multi_label)
    progress.say(f"{len(labels)} classes in the training manifest: {', '.join(labels.names)}")
    kept = (
        existing
        if isinstance(existing, ClassificationHead)
        and existing.labels.to_dict() == labels.to_dict()
        and existing.pooling == classes.pooling
        else None
    )
    head = ClassificationHead(
        encoder.width,
        labels,
        **({"projection": kept.projector.out_features} if kept else {}),
        pooling=classes.pooling,
        multi_label=classes.multi_label,
        label_smoothing=classes.label_smoothing,
        class_weights=labels.weights(train) if classes.class_weights else None,
        pool_padding=encoder.fixed_length,
        states=encoder.num_states,
    )
    if kept:
        head.load_state_dict(kept.state_dict())
        progress.say(f"{config.model} has a head for these classes, which is kept")
    return head


def _seq2seq_head(config: FinetuneConfig, encoder: Encoder, opened: Opened, *, anew: bool) -> Head:
    """The checkpoint's own decoder, or one of its shape with random weights, told what it is to learn."""
    from speechxfer.families.whisper.decoder import WhisperSeq2SeqHead  # late: transformers takes seconds

    existing = opened.head
    if not isinstance(existing, WhisperSeq2SeqHead):
        reason = opened.problem or f"{config.model} has no decoder"
        raise ConfigError(f"head is 'seq2seq', but {reason}; wanted a Whisper with its decoder, or --head ctc")
    if encoder.stacked:
        raise ConfigError("plan.weighted_layer_sum is true, but Whisper's decoder reads the last layer only; leave it out, or take --head ctc or classification")  # fmt: skip  # noqa: E501
    wanted = config.seq2seq
    if existing.tokens.is_multilingual and not wanted.language:
        raise ConfigError(f"{config.model} knows several languages; say which is spoken, for instance --language it")
    if not existing.tokens.is_multilingual and wanted.task == "translate":
        raise ConfigError(f"seq2seq.task is 'translate', but {config.model} knows English only; leave it out")
    if anew:
        existing.forget()
    existing.learn(
        TextNormalizer(config.text.new_head_normalizer), language=wanted.language or None, task=wanted.task,
        timestamp_share=wanted.timestamp_ratio, label_smoothing=wanted.label_smoothing,
        beams=wanted.beams,
    )  # fmt: skip
    return existing
