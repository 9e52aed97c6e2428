"""Every setting of a run, with its default and what it may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from speechxfer.config.values import OneOf, Place, Range, Table
from speechxfer.errors import ConfigError
from speechxfer.languages import language_code

#: Where figures may go besides TensorBoard.
TRACKERS = ("mlflow", "trackio", "wandb")

_Count = Annotated[int, Range(0)]
_AtLeastOne = Annotated[int, Range(1)]
_Fraction = Annotated[float, Range(0, 1, with_most=False)]
_Positive = Annotated[float, Range(0, with_least=False)]
_Rate = Annotated[float, Range(0, 1, with_least=False, with_most=False)]
_Path = Annotated[str, Place()]


@dataclass(frozen=True)
class PlanConfig(Table, group="plan"):
    """How much of a model moves, how fast, and what of it is taken over at all.

    None is what the preset says, and where it says nothing what stands with the setting.
    """

    #: A named way to transfer, whose settings those given here replace: feature-extraction, fine-tune-top, fine-tune,
    #: lower-layers, lora or from-scratch.
    preset: str = ""
    #: Layers below this one stay as they are; usually none of them.
    freeze_below: _Count | None = None
    #: Train only this many layers from the top; the other way to say `freeze_below`.
    train_top: _Count | None = None
    #: Keep what stands below the first layer (convolutions) as it is; usual, unless all begins from scratch.
    freeze_frontend: bool | None = None
    #: Gradual unfreezing (Howard and Ruder, 2018): begin with the head alone and wake one more layer, from the
    #: top down, every so many epochs; 0, the usual, trains all that is trained from the start.
    unfreeze_every: _Count | None = None
    #: The same layer by layer: "4@3, 0-3@6, frontend@9" lets layer 4 sleep until epoch 3 and so on; what is trained
    #: and not named is awake from the start.
    unfreeze_at: str | None = None
    #: Let a head that is new learn alone for this share of the epochs first, at least for one: what it asks of the
    #: layers below before it has learned anything undoes what they know (Kumar et al., 2022, Fine-tuning can distort
    #: pretrained features; so wav2vec2's own fine-tuning, Baevski et al., 2020). A run of one epoch has none of that.
    #: Usually a sixth where all layers of a Whisper are trained and there is no other schedule, otherwise nothing.
    head_only_ratio: _Fraction | None = None
    #: Of a head with layers of its own (Whisper's decoder), train only this many from the top; usually all.
    head_top: _Count | None = None
    #: Train the token embedding of such a head as well, which is most of its weights.
    train_embedding: bool | None = None
    #: Peak learning rates; usually what suits the head: 3e-4 and 3e-3, or 1e-4 for both with Whisper's decoder. That of
    #: adapters is ten times the encoder's.
    encoder_lr: _Rate | None = None
    head_lr: _Rate | None = None
    #: Each layer's learning rate as a share of the one above it (Howard and Ruder, 2018); 1, the usual, for one rate.
    layer_decay: Annotated[float, Range(0, 1, with_least=False)] | None = None
    #: Leave so many upper layers out of the model; its head begins anew.
    drop_top: _Count | None = None
    #: Begin with random weights in so many upper layers, and with a new head.
    reinit_top: _Count | None = None
    #: Let the head read a learned weighted sum of all layers instead of the last one (Peters et al., 2018).
    weighted_layer_sum: bool | None = None
    #: Train adapters of this rank beside the layers' matrices instead of the layers (Hu et al., 2022); 0 for none.
    lora_rank: Annotated[int, Range(0, 1024)] | None = None
    #: What adapters weigh, over their rank; usually twice the rank.
    lora_alpha: _AtLeastOne | None = None
    #: Adapters beside the feed-forward matrices too, not only beside those of attention.
    lora_feed_forward: bool | None = None
    #: The same shape with random weights, all of it trained.
    from_scratch: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.freeze_below is not None and self.train_top is not None:
            raise ConfigError("plan.freeze_below and plan.train_top say the same thing twice; give one of them")


@dataclass(frozen=True)
class TrainingConfig(Table, group="training"):
    """The loop."""

    epochs: _AtLeastOne = 20
    #: Seconds of audio in one optimiser step, over all processes, padding included.
    batch_seconds: _Positive = 20.0
    #: Most seconds a device computes at once; a step is cut into such pieces, which changes nothing but memory and
    #: speed. 0 finds it for the device.
    device_batch_seconds: Annotated[float, Range(0)] = 0.0
    #: Share of all steps in which the learning rate rises, from where a layer wakes.
    warmup_ratio: _Fraction = 0.1
    weight_decay: Annotated[float, Range(0, 10)] = 0.01
    #: Largest norm of the gradient.
    max_grad_norm: _Positive = 1.0
    #: Dropout inside the trained layers.
    dropout: _Fraction = 0.1
    #: Measure and save the moving average of the weights over about so many epochs; 0: the weights themselves.
    ema_epochs: Annotated[float, Range(0)] = 0.0
    #: Stop after this many epochs without a lower dev error; 0 means never.
    patience: _Count = 0
    #: Measure only so many utterances of dev, spread over it, after each epoch; 0 means all.
    dev_utterances: _Count = 0
    #: Copies of the training audio at other speeds (0.9 and 1.1, then 0.95 and 1.05); each costs as much
    #: as the original.
    speed_copies: Annotated[int, Range(0, 4)] = 0
    #: Where the frozen layers' output is kept: "memory", "disk" (found again by later runs), "off" (computed in
    #: every epoch), or "auto": the first of these that has room and saves time.
    cache: Annotated[str, OneOf(("auto", "memory", "disk", "off"))] = "auto"
    #: Precision it is kept in: "half" or "float32".
    cache_dtype: Annotated[str, OneOf(("half", "float32"))] = "half"
    #: Folder for the cache on disk; empty means $SPEECHXFER_CACHE, or ~/.cache/speechxfer.
    cache_dir: Annotated[str, Place(may_be_empty=True)] = ""
    #: What to do about a run that goes wrong: "warn" says so, "rollback" returns to the last good state with half
    #: the learning rate, "off" only stops where the loss is no number any more.
    guard: Annotated[str, OneOf(("off", "warn", "rollback"))] = "warn"
    #: "float32", "bfloat16" (autocast), or "auto": bfloat16 on a GPU.
    precision: Annotated[str, OneOf(("auto", "float32", "bfloat16"))] = "auto"
    #: Minutes between checkpoints inside an epoch; every epoch ends with one.
    checkpoint_minutes: _Positive = 5.0
    #: Compile the trained layers (torch.compile): pays on a GPU in long runs only.
    compile: bool = False
    #: Compute the trained layers' activations again in the backward pass instead of keeping them: less memory, a
    #: third more time.
    gradient_checkpointing: bool = False
    #: Where figures go besides the run's folder and TensorBoard: some of "mlflow", "trackio" and "wandb".
    trackers: list[Annotated[str, OneOf(TRACKERS)]] = field(default_factory=list)
    seed: Annotated[int, Range(0, 2**32 - 1)] = 1


@dataclass(frozen=True)
class AugmentConfig(Table, group="augment"):
    """SpecAugment on frames, and where at least half of the layers are frozen on channels."""

    #: "seam": what the frozen layers give is augmented. "spectrogram": what Whisper hears, whose mel bands are the
    #: channels and whose frames last 10 ms; frozen layers are computed in every epoch then.
    where: Annotated[str, OneOf(("seam", "spectrogram"))] = "seam"
    mask_time_prob: _Fraction = 0.05
    mask_time_length: _AtLeastOne = 10
    mask_feature_prob: _Fraction = 0.05
    mask_feature_length_percent: Annotated[int, Range(1, 100)] = 5
    #: Of the spectrogram: stretch frequencies by up to this share either way, as longer and shorter vocal tracts do.
    frequency_warp: _Fraction = 0.0


@dataclass(frozen=True)
class EncoderConfig(Table, group="encoder"):
    """Options of the encoder itself."""

    #: Extend every utterance with silence to 30 s, as Whisper was trained.
    pad_to_30s: bool = False


@dataclass(frozen=True)
class PoolingConfig(Table, group="pooling"):
    """Fewer frames for what is trained."""

    #: Frames that become one at the seam; 1 leaves the frame rate as it is.
    stride: Annotated[int, Range(1, 8)] = 1
    #: How: "mean", or "learned", which begins as the mean.
    kind: Annotated[str, OneOf(("mean", "learned"))] = "mean"


@dataclass(frozen=True)
class TextConfig(Table, group="text"):
    """From transcripts to symbols."""

    #: How transcripts are written before they are learned; empty is as the checkpoint's own CTC head writes, if that is
    #: kept, and "basic" otherwise.
    normalizer: str = ""
    #: Applied to both sides before errors are counted; empty is `normalizer`, or "basic".
    scored_by: str = ""
    #: Let dev and test hold characters that the training text lacks; they count as errors.
    ignore_unknown: bool = False
    #: Of a checkpoint that has a CTC head: "keep" its characters, "extend" them by those of the training text, or
    #: begin with a "new" head. Others get a new one anyway.
    vocabulary: Annotated[str, OneOf(("keep", "extend", "new"))] = "keep"

    @property
    def new_head_normalizer(self) -> str:
        """How transcripts are written for any head but a CTC head that is kept."""
        return self.normalizer or "basic"

    @property
    def scoring_normalizer(self) -> str:
        """How both sides are written before errors are counted."""
        return self.scored_by or self.new_head_normalizer


@dataclass(frozen=True)
class ClassesConfig(Table, group="classes"):
    """The classification head."""

    #: Frames to one vector: "mean", "mean-deviation" or "attentive".
    pooling: Annotated[str, OneOf(("mean", "mean-deviation", "attentive"))] = "mean"
    #: Weigh rare classes as much as frequent ones.
    weighted: bool = False
    #: Share of the target that is spread over all classes.
    label_smoothing: _Fraction = 0.0
    #: Several classes may hold at once; labels then name them as "a|b".
    multi_label: bool = False


@dataclass(frozen=True)
class Seq2SeqConfig(Table, group="seq2seq"):
    """Whisper's own decoder as the head."""

    #: What is spoken, by its code or English name, such as "it"; has to be given for a multilingual model.
    language: str = ""
    #: "transcribe", or "translate" where the texts are English translations.
    task: Annotated[str, OneOf(("transcribe", "translate"))] = "transcribe"
    #: Share of the utterances learned with their times, so that the model does not forget how.
    timestamp_share: _Fraction = 0.1
    #: Share of a target that is spread over all tokens.
    label_smoothing: _Fraction = 0.1
    #: Utterances of silence, noise and chords to be added, as a share of the training ones, so that the model learns to
    #: write nothing where nothing is said.
    nothing_share: _Fraction = 0.05
    #: Hypotheses that are followed at once wherever the model writes, dev and test included; 1 is greedy.
    beams: Annotated[int, Range(1, 100)] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        _name_language(self)


@dataclass(frozen=True)
class RetentionConfig(Table, group="retention"):
    """What the model should not forget while it learns."""

    #: Manifest of the source domain to learn from as well (replay); not the one that is measured.
    replay: _Path | None = None
    #: Share of the training utterances that are replayed ones, drawn once from `replay`.
    replay_share: _Fraction = 0.2
    #: What is spoken in the source domain, for the decoder of a multilingual Whisper; empty lets it find out.
    language: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _name_language(self)


@dataclass(frozen=True)
class FinetuneConfig(Table):
    """A whole run: `speechxfer finetune --config` reads it, every run folder holds it."""

    model: Annotated[str, Place(is_model=True)]
    train: _Path
    dev: _Path
    output: _Path
    test: _Path | None = None
    #: Manifest of what the model should not forget, measured before training, after every epoch and at the end.
    retain: _Path | None = None
    #: Train the same shape from random weights as well, for as many epochs, to see whether transfer helped.
    compare_scratch: bool = False
    #: Stop at an audio file that is a little shorter than it should be; else what is there is used, with a warning.
    strict: bool = False
    head: Annotated[str, OneOf(("ctc", "classification", "seq2seq"))] = "ctc"
    device: str = "auto"
    plan: PlanConfig = field(default_factory=PlanConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    pooling: PoolingConfig = field(default_factory=PoolingConfig)
    text: TextConfig = field(default_factory=TextConfig)
    classes: ClassesConfig = field(default_factory=ClassesConfig)
    seq2seq: Seq2SeqConfig = field(default_factory=Seq2SeqConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.augment.frequency_warp and self.augment.where != "spectrogram":
            raise ConfigError(f'augment.frequency_warp is {self.augment.frequency_warp}; wanted 0, or augment.where "spectrogram"')


def _name_language(config: Seq2SeqConfig | RetentionConfig) -> None:
    """Put the code of a language in place of its name; what no table knows stays, for the model may know it."""
    object.__setattr__(config, "language", language_code(config.language) or config.language)
