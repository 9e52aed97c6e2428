"""Every setting of a run, with its default and its allowed values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from speechxfer.config.families import family_groups
from speechxfer.config.heads import HEADS, HeadType, head_groups
from speechxfer.config.maskings import MASKINGS, masking_groups
from speechxfer.config.values import Duration, Fraction, Language, OneOf, OpenTable, Place, Range, Table, kinds
from speechxfer.errors import ConfigError

#: Where figures may go besides TensorBoard.
TRACKERS = ("mlflow", "trackio", "wandb")

_Count = Annotated[int, Range(0)]
_AtLeastOne = Annotated[int, Range(1)]
_Positive = Annotated[float, Range(0, with_least=False)]
_Rate = Annotated[float, Range(0, 1, with_least=False, with_most=False)]
_Path = Annotated[str, Place()]


@dataclass(frozen=True)
class PlanConfig(Table, group="plan"):
    """Which parts of the model are trained, from which epoch on, and how fast.

    A setting that is None takes the preset's value, or its usual value where the preset has none.
    """

    #: A named set of plan settings, each of which can be overridden: feature-extraction, fine-tune-top, fine-tune,
    #: lower-layers, lora or from-scratch.
    preset: str = ""
    #: Freeze the layers below this layer index; usually 0.
    freeze_below: _Count | None = None
    #: Train only this many layers, counted from the top; the alternative to `freeze_below`.
    train_top: _Count | None = None
    #: Freeze the convolutions below the first layer; usually true, except from scratch.
    freeze_frontend: bool | None = None
    #: Gradual unfreezing (Howard and Ruder, 2018): train the head alone first, then unfreeze one more layer, from the
    #: top down, every so many epochs; 0, the usual value, trains everything from the start.
    unfreeze_every: _Count | None = None
    #: Unfreezing by layer: "4@3, 0-3@6, frontend@9" trains layer 4 from epoch 3 on, layers 0 to 3 from epoch 6 on, and
    #: the convolutions from epoch 9 on. Trained parts that are not named are trained from the start.
    unfreeze_at: str | None = None
    #: Train only a new head for this fraction of the epochs first, at least for one epoch: gradients of an untrained
    #: head would distort the pre-trained layers (Kumar et al., 2022; Baevski et al., 2020). Has no effect in a run of
    #: one epoch. Usually 1/6 when all layers of a Whisper are trained without another schedule, otherwise 0.
    head_only_ratio: Fraction | None = None
    #: Of a head with layers of its own (a decoder), train only this many, counted from the top; usually all.
    head_top: _Count | None = None
    #: Also train the token embedding of such a head, which is most of its weights.
    train_embedding: bool | None = None
    #: Peak learning rate of the encoder; usually 3e-4, or 1e-4 with a decoder, and ten times that for adapters.
    encoder_lr: _Rate | None = None
    #: Peak learning rate of the head; usually 3e-3, or 1e-4 for a decoder.
    head_lr: _Rate | None = None
    #: Learning rate of each layer relative to the layer above it (Howard and Ruder, 2018); usually 1.
    layer_decay: Annotated[float, Range(0, 1, with_least=False)] | None = None
    #: Remove this many layers from the top of the encoder; the head is new then.
    drop_top: _Count | None = None
    #: Re-initialize this many layers at the top of the encoder; the head is new then.
    reinit_top: _Count | None = None
    #: Feed the head a learned weighted sum of all layers instead of the last layer (Peters et al., 2018).
    weighted_layer_sum: bool | None = None
    #: Train LoRA adapters of this rank instead of the layers themselves (Hu et al., 2022); 0 for none.
    lora_rank: Annotated[int, Range(0, 1024)] | None = None
    #: LoRA's alpha: adapters are scaled by alpha / rank; usually twice the rank.
    lora_alpha: _AtLeastOne | None = None
    #: Adapt the feed-forward matrices too, not only those of attention.
    lora_feed_forward: bool | None = None
    #: Train only the attention adapters of the layers, which MMS has for each language (Pratap et al., 2023), and the
    #: head: "own", which begin as those of the language, or "new", which begin random; the head is new then.
    attention_adapters: Annotated[str, OneOf(("own", "new"))] | None = None
    #: Keep the architecture, but start from random weights and train all of them.
    from_scratch: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.freeze_below is not None and self.train_top is not None:
            raise ConfigError("plan.freeze_below and plan.train_top are two ways to set one thing; give one of them")


@dataclass(frozen=True)
class TrainingConfig(Table, group="training"):
    """The training loop."""

    #: Passes over the training set, unless `steps_per_epoch` says how long an epoch is. 0 for what the training set
    #: needs: 20, or with a classification head as many as make 8,000 utterances, but 3 at least and 20 at most.
    epochs: _Count = 0
    #: Optimizer steps in an epoch, after which dev is measured; 0 for a pass over the training set. Passes follow one
    #: another, so an epoch may be a part of one or have several.
    steps_per_epoch: _Count = 0
    #: Time for the whole job, such as "30m" or "2h"; empty for as long as it takes. It decides the number of steps in
    #: each of 12 epochs and how much of dev is measured after them; where one pass over the training set does not fit,
    #: a part of it is used.
    time: Annotated[str, Duration()] = ""
    #: Seconds of audio in one optimizer step, over all processes, padding included.
    batch_seconds: _Positive = 20.0
    #: Most seconds of audio that a device computes at once; a longer step is computed in several parts, which changes
    #: memory and speed only. 0 finds a value for the device.
    device_batch_seconds: Annotated[float, Range(0)] = 0.0
    #: Fraction of all steps in which the learning rate rises, counted from the epoch in which a layer is unfrozen.
    warmup_ratio: Fraction = 0.1
    #: Weight decay of AdamW.
    weight_decay: Annotated[float, Range(0, 10)] = 0.01
    #: Gradients are clipped to this norm.
    max_grad_norm: _Positive = 1.0
    #: Dropout inside the trained layers.
    dropout: Fraction = 0.1
    #: Evaluate and save an exponential moving average of the weights over about so many epochs; 0 for the weights
    #: themselves.
    ema_epochs: Annotated[float, Range(0)] = 0.0
    #: Stop after so many epochs without a lower dev error; 0 for never.
    patience: _Count = 0
    #: Evaluate only so many dev utterances after each epoch, spread over the manifest; 0 for all.
    dev_utterances: _Count = 0
    #: Copies of the training audio at other speeds (0.9 and 1.1, then 0.95 and 1.05); each costs as much as the
    #: original.
    speed_copies: Annotated[int, Range(0, 4)] = 0
    #: Where the output of the frozen layers is kept: "memory", "disk" (later runs find it again), "off" (computed again
    #: in every epoch), or "auto" (the first of these that has room and saves time).
    cache: Annotated[str, OneOf(("auto", "memory", "disk", "off"))] = "auto"
    #: Precision of the cache: "half" or "float32".
    cache_dtype: Annotated[str, OneOf(("half", "float32"))] = "half"
    #: Folder for the cache on disk; empty for $SPEECHXFER_CACHE, or ~/.cache/speechxfer.
    cache_dir: Annotated[str, Place(may_be_empty=True)] = ""
    #: Reaction to a run that diverges or does not learn: "warn" reports it, "rollback" returns to the last good state
    #: with half the learning rate, "off" only stops at a loss that is NaN or infinite.
    guard: Annotated[str, OneOf(("off", "warn", "rollback"))] = "warn"
    #: "float32", "bfloat16" (autocast), or "auto" (bfloat16 on a GPU).
    precision: Annotated[str, OneOf(("auto", "float32", "bfloat16"))] = "auto"
    #: Minutes between checkpoints within an epoch; there is always one at the end of an epoch.
    checkpoint_minutes: _Positive = 5.0
    #: Compile the trained layers with torch.compile, which pays off in long runs on a GPU only.
    compile: bool = False
    #: Recompute the activations of the trained layers in the backward pass instead of keeping them: less memory, one
    #: third more time.
    gradient_checkpointing: bool = False
    #: In a run of several processes, divide the trained layers of the encoder over them (FSDP): for encoders that
    #: do not fit one GPU together with their gradients and moments. It changes memory and speed only.
    fsdp: bool = False
    #: Experiment trackers besides TensorBoard: any of "mlflow", "trackio" and "wandb".
    trackers: list[Annotated[str, OneOf(TRACKERS)]] = field(default_factory=list)
    #: Seed of all random numbers.
    seed: Annotated[int, Range(0, 2**32 - 1)] = 1


@dataclass(frozen=True)
class AugmentConfig(OpenTable, group="augment"):
    """SpecAugment: masks over time, and masks over features if at least half of the layers are frozen; and more."""

    #: What is masked: "seam", the output of the frozen layers; or "spectrogram", the input of a Whisper, whose features
    #: are mel bands and whose frames last 10 ms. With "spectrogram", frozen layers are computed in every epoch.
    where: Annotated[str, OneOf(("seam", "spectrogram"))] = "seam"
    #: How masks are drawn, by name in the register: "spans" (SpecAugment), or a masking that another package brings.
    masking: str = "spans"
    #: Fraction of the frames that are masked, about.
    mask_time_prob: Fraction = 0.05
    #: Frames in one masked span.
    mask_time_length: _AtLeastOne = 10
    #: Fraction of the features (hidden units or mel bands) that are masked, about.
    mask_feature_prob: Fraction = 0.05
    #: Width of one masked span of features, in percent of all features.
    mask_feature_length_percent: Annotated[int, Range(1, 100)] = 5
    #: Vocal tract length perturbation: scale the frequencies of a spectrogram by a random factor between 1 - x and
    #: 1 + x; 0 for none.
    frequency_warp: Fraction = 0.0
    #: Most seconds of silence, noise or tones before and after a copy of an utterance at another speed
    #: (`training.speed_copies`), as a detector of speech leaves some around what it cuts out of a long recording.
    margin_seconds: Annotated[float, Range(0, 5)] = 0.0
    #: The groups of settings that maskings bring, by name.
    groups: Mapping[str, Table] = field(default_factory=dict)

    @classmethod
    def added_groups(cls) -> Mapping[str, type[Table]]:
        """Those of the maskings there are."""
        return masking_groups()

    def __post_init__(self) -> None:
        super().__post_init__()
        MASKINGS.find(self.masking, setting="augment.masking")


@dataclass(frozen=True)
class PoolingConfig(Table, group="pooling"):
    """Pooling of frames at the seam, so that the trained layers are faster."""

    #: Frames that are pooled into one; 1 keeps the frame rate.
    stride: Annotated[int, Range(1, 8)] = 1
    #: "mean", or "learned" (weights that start as the mean).
    kind: Annotated[str, OneOf(("mean", "learned"))] = "mean"


@dataclass(frozen=True)
class TextConfig(Table, group="text"):
    """From transcripts to training targets."""

    #: Normalizer of training transcripts; empty for the checkpoint's own, if its CTC head is kept, otherwise "basic".
    normalizer: str = ""
    #: Normalizer of references and hypotheses before errors are counted; empty for `normalizer`, or "basic".
    scoring_normalizer: str = ""

    @property
    def new_head_normalizer(self) -> str:
        """Normalizer of training transcripts, except for a CTC head that is kept."""
        return self.normalizer or "basic"

    @property
    def resolved_scoring_normalizer(self) -> str:
        """Normalizer of references and hypotheses before errors are counted."""
        return self.scoring_normalizer or self.new_head_normalizer


@dataclass(frozen=True)
class RetentionConfig(Table, group="retention"):
    """What the model should not forget during training."""

    #: Manifest of training data of the source domain, mixed into the training set (replay); not the manifest of
    #: `retain`, which is only evaluated.
    replay: _Path | None = None
    #: Fraction of the training set that comes from `replay`, sampled once.
    replay_ratio: Fraction = 0.2
    #: Spoken language of the source domain, for the decoder of a multilingual Whisper; empty to detect it.
    language: Annotated[str, Language()] = ""


@dataclass(frozen=True)
class FinetuneConfig(OpenTable):
    """A whole run: `speechxfer finetune --config` reads it, and every run folder holds it."""

    #: Pre-trained model: a folder, an installed package, or a hub id.
    model: Annotated[str, Place(is_model=True)]
    #: Manifest of the training set.
    train: _Path
    #: Manifest that decides which epoch is the best.
    dev: _Path
    #: Folder of the run.
    output: _Path
    #: Manifest that is evaluated before and after training.
    test: _Path | None = None
    #: Manifest of what the model should not forget, evaluated before training, after every epoch and at the end.
    retain: _Path | None = None
    #: Manifest of recordings without text or label, for self-training: a model that is trained on `train` predicts
    #: theirs, and the run is trained on both, without those that it is not certain of.
    unlabeled: _Path | None = None
    #: Also train the same architecture from random weights, for as many epochs, to see whether transfer helped.
    compare_scratch: bool = False
    #: Stop at an audio file that is a little shorter than its header says, instead of using it with a warning.
    strict: bool = False
    #: The head, by its name in the register: "ctc", "classification", "seq2seq" (the checkpoint's own decoder), or one
    #: that another package brings.
    head: str = "ctc"
    #: Spoken language, by its code or English name, such as "it". A multilingual Whisper's decoder needs it; of an MMS
    #: model it chooses the adapters, the vocabulary and the CTC head. For other models only the model card notes it.
    language: Annotated[str, Language()] = ""
    #: Language model that decodes together with a CTC head: "auto", n-grams of the training text (of up to a million
    #: words), for a head that writes words; "none"; or a file: an ARPA file, which is used as it is, or more text for
    #: the n-grams (a sentence a line, or a manifest). It is tuned on dev, and stays with the model if it makes fewer
    #: errors there.
    language_model: Annotated[str, Place(words=("none", "auto"))] = "auto"
    #: "auto", "cpu", "cuda" or "cuda:N".
    device: str = "auto"
    plan: PlanConfig = field(default_factory=PlanConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    pooling: PoolingConfig = field(default_factory=PoolingConfig)
    text: TextConfig = field(default_factory=TextConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    #: The groups of settings that heads and families of encoders bring, by name; `group_of` finds one.
    groups: Mapping[str, Table] = field(default_factory=dict)

    @classmethod
    def added_groups(cls) -> Mapping[str, type[Table]]:
        """Those of the heads and of the families of encoders there are."""
        return {**head_groups(), **family_groups()}

    @property
    def head_type(self) -> HeadType:
        """What is known of the head."""
        return HEADS[self.head]

    @property
    def multi_label(self) -> bool:
        """Whether an utterance may have several classes, where the head's settings allow that."""
        own = self.head_type.settings
        return own is not None and bool(getattr(self.group_of(own), "multi_label", False))

    @property
    def encoder_options(self) -> dict[str, Any]:
        """The settings of families of encoders, by name."""
        groups = (self.groups[name] for name in family_groups())
        return {name: getattr(group, name) for group in groups for name in kinds(type(group))}

    def __post_init__(self) -> None:
        super().__post_init__()
        HEADS.find(self.head, setting="head")
        if self.augment.frequency_warp and self.augment.where != "spectrogram":
            raise ConfigError(
                f'augment.frequency_warp is {self.augment.frequency_warp}; wanted 0, or augment.where "spectrogram"'
            )
