"""Everything a run can be told, as dataclasses: read from TOML, set one by one, validated in one place."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from speechxfer.errors import ConfigError
from speechxfer.languages import language_code

#: Where figures may go besides TensorBoard.
TRACKERS = ("mlflow", "trackio", "wandb")


@dataclass(frozen=True)
class PlanConfig:
    """How much of a model moves, how fast, and what of it is taken over at all.

    None is what the preset says, and where it says nothing what stands with the setting.
    """

    #: A named way to transfer, whose settings those given here replace: feature-extraction, fine-tune-top, fine-tune,
    #: lower-layers, lora or from-scratch.
    preset: str = ""
    #: Layers below this one stay as they are; usually none of them.
    freeze_below: int | None = None
    #: Train only this many layers from the top; the other way to say `freeze_below`.
    train_top: int | None = None
    #: Keep what stands below the first layer (convolutions) as it is; usual, unless all begins from scratch.
    freeze_frontend: bool | None = None
    #: Gradual unfreezing (Howard and Ruder, 2018): begin with the head alone and wake one more layer, from the
    #: top down, every so many epochs; 0, the usual, trains all that is trained from the start.
    unfreeze_every: int | None = None
    #: The same layer by layer: "4@3, 0-3@6, frontend@9" lets layer 4 sleep until epoch 3 and so on; what is trained
    #: and not named is awake from the start.
    wake: str | None = None
    #: Let a head that is new learn alone for this share of the epochs first, at least for one: what it asks of the
    #: layers below before it has learned anything undoes what they know (Kumar et al., 2022, Fine-tuning can distort
    #: pretrained features; so wav2vec2's own fine-tuning, Baevski et al., 2020). A run of one epoch has none of that.
    #: Usually a sixth where all layers of a Whisper are trained and there is no other schedule, otherwise nothing.
    head_first: float | None = None
    #: Of a head with layers of its own (Whisper's decoder), train only this many from the top; usually all.
    head_top: int | None = None
    #: Train the token embedding of such a head as well, which is most of its weights.
    train_embedding: bool | None = None
    #: Peak learning rates; usually what suits the head: 3e-4 and 3e-3, or 1e-4 for both with Whisper's decoder. That of
    #: adapters is ten times the encoder's.
    encoder_lr: float | None = None
    head_lr: float | None = None
    #: Each layer's learning rate as a share of the one above it (Howard and Ruder, 2018); 1, the usual, for one rate.
    layer_decay: float | None = None
    #: Leave so many upper layers out of the model; its head begins anew.
    drop_top: int | None = None
    #: Begin with random weights in so many upper layers, and with a new head.
    reinit_top: int | None = None
    #: Let the head read a learned weighted sum of all layers instead of the last one (Peters et al., 2018).
    weighted_layers: bool | None = None
    #: Train adapters of this rank beside the layers' matrices instead of the layers (Hu et al., 2022); 0 for none.
    lora_rank: int | None = None
    #: What adapters weigh, over their rank; usually twice the rank.
    lora_alpha: int | None = None
    #: Adapters beside the feed-forward matrices too, not only beside those of attention.
    lora_feed_forward: bool | None = None
    #: The same shape with random weights, all of it trained.
    from_scratch: bool | None = None

    def __post_init__(self) -> None:
        if self.freeze_below is not None and self.train_top is not None:
            raise ConfigError("plan.freeze_below and plan.train_top say the same thing twice; give one of them")
        counts = ("freeze_below", "train_top", "head_top", "unfreeze_every", "drop_top", "reinit_top", "lora_rank")
        for name in counts:
            _require(f"plan.{name}", getattr(self, name), "at least 0", (getattr(self, name) or 0) >= 0)
        for name, value in {"encoder_lr": self.encoder_lr, "head_lr": self.head_lr}.items():
            _require(f"plan.{name}", value, "more than 0 and less than 1", value is None or 0 < value < 1)
        share = self.head_first
        _require("plan.head_first", share, "at least 0 and less than 1", share is None or 0 <= share < 1)
        decay, alpha = self.layer_decay, self.lora_alpha
        _require("plan.layer_decay", decay, "more than 0 and at most 1", decay is None or 0 < decay <= 1)
        _require("plan.lora_alpha", alpha, "at least 1", alpha is None or alpha >= 1)


@dataclass(frozen=True)
class TrainingConfig:
    """The loop."""

    epochs: int = 20
    #: Seconds of audio in one optimiser step, over all processes, padding included.
    batch_s: float = 20.0
    #: Most seconds a device computes at once; a step is cut into such pieces, which changes nothing but memory and
    #: speed. 0 finds it for the device.
    device_batch_s: float = 0.0
    #: Share of all steps in which the learning rate rises, from where a layer wakes.
    warmup: float = 0.1
    weight_decay: float = 0.01
    #: Largest norm of the gradient.
    clip_norm: float = 1.0
    #: Dropout inside the trained layers.
    dropout: float = 0.1
    #: Measure and save the moving average of the weights over about so many epochs; 0: the weights themselves.
    ema_epochs: float = 0.0
    #: Stop after this many epochs without a lower dev error; 0 means never.
    patience: int = 0
    #: Measure only so many utterances of dev, spread over it, after each epoch; 0 means all.
    dev_utterances: int = 0
    #: Copies of the training audio at other speeds (0.9 and 1.1, then 0.95 and 1.05); each costs as much
    #: as the original.
    speed_copies: int = 0
    #: Where the frozen layers' output is kept: "memory", "disk" (found again by later runs), "off" (computed in
    #: every epoch), or "auto": the first of these that has room and saves time.
    cache: str = "auto"
    #: Precision it is kept in: "half" or "float32".
    cache_dtype: str = "half"
    #: Folder for the cache on disk; empty means $SPEECHXFER_CACHE, or ~/.cache/speechxfer.
    cache_dir: str = ""
    #: What to do about a run that goes wrong: "warn" says so, "rollback" returns to the last good state with half
    #: the learning rate, "off" only stops where the loss is no number any more.
    guard: str = "warn"
    #: "float32", "bfloat16" (autocast), or "auto": bfloat16 on a GPU.
    precision: str = "auto"
    #: Minutes between checkpoints inside an epoch; every epoch ends with one.
    checkpoint_minutes: float = 5.0
    #: Compile the trained layers (torch.compile): pays on a GPU in long runs only.
    compile: bool = False
    #: Compute the trained layers' activations again in the backward pass instead of keeping them: less memory, a
    #: third more time.
    recompute: bool = False
    #: Where figures go besides the run's folder and TensorBoard: some of "mlflow", "trackio" and "wandb".
    trackers: list[str] = field(default_factory=list)
    seed: int = 1


@dataclass(frozen=True)
class AugmentConfig:
    """SpecAugment on frames, and where at least half of the layers are frozen on channels."""

    #: "seam": what the frozen layers give is augmented. "spectrogram": what Whisper hears, whose mel bands are the
    #: channels and whose frames last 10 ms; frozen layers are computed in every epoch then.
    where: str = "seam"
    time_share: float = 0.05
    time_frames: int = 10
    channel_share: float = 0.05
    channel_span_percent: int = 5
    #: Of the spectrogram: stretch frequencies by up to this share either way, as longer and shorter vocal tracts do.
    warp: float = 0.0


@dataclass(frozen=True)
class EncoderConfig:
    """Options of the encoder itself."""

    #: Extend every utterance with silence to 30 s, as Whisper was trained.
    pad_to_30s: bool = False


@dataclass(frozen=True)
class PoolingConfig:
    """Fewer frames for what is trained."""

    #: Frames that become one at the seam; 1 leaves the frame rate as it is.
    stride: int = 1
    #: How: "mean", or "learned", which begins as the mean.
    kind: str = "mean"


@dataclass(frozen=True)
class TextConfig:
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
    vocabulary: str = "keep"

    @property
    def new_head_normalizer(self) -> str:
        """How transcripts are written for any head but a CTC head that is kept."""
        return self.normalizer or "basic"

    @property
    def scoring_normalizer(self) -> str:
        """How both sides are written before errors are counted."""
        return self.scored_by or self.new_head_normalizer


@dataclass(frozen=True)
class ClassesConfig:
    """The classification head."""

    #: Frames to one vector: "mean", "mean-deviation" or "attentive".
    pooling: str = "mean"
    #: Weigh rare classes as much as frequent ones.
    weighted: bool = False
    #: Share of the target that is spread over all classes.
    label_smoothing: float = 0.0
    #: Several classes may hold at once; labels then name them as "a|b".
    multi_label: bool = False


@dataclass(frozen=True)
class Seq2SeqConfig:
    """Whisper's own decoder as the head."""

    #: What is spoken, by its code or English name, such as "it"; has to be given for a multilingual model.
    language: str = ""
    #: "transcribe", or "translate" where the texts are English translations.
    task: str = "transcribe"
    #: Share of the utterances learned with their times, so that the model does not forget how.
    timestamp_share: float = 0.1
    #: Share of a target that is spread over all tokens.
    label_smoothing: float = 0.1
    #: Utterances of silence, noise and chords to be added, as a share of the training ones, so that the model learns to
    #: write nothing where nothing is said.
    nothing_share: float = 0.05
    #: Hypotheses that are followed at once wherever the model writes, dev and test included; 1 is greedy.
    beams: int = 1

    def __post_init__(self) -> None:
        _name_language(self)


@dataclass(frozen=True)
class RetentionConfig:
    """What the model should not forget while it learns."""

    #: Manifest of the source domain to learn from as well (replay); not the one that is measured.
    replay: str | None = None
    #: Share of the training utterances that are replayed ones, drawn once from `replay`.
    replay_share: float = 0.2
    #: What is spoken in the source domain, for the decoder of a multilingual Whisper; empty lets it find out.
    language: str = ""

    def __post_init__(self) -> None:
        _name_language(self)


@dataclass(frozen=True)
class FinetuneConfig:
    """A whole run: `speechxfer finetune --config` reads it, every run folder holds it."""

    model: str
    train: str
    dev: str
    output: str
    test: str | None = None
    #: Manifest of what the model should not forget, measured before training, after every epoch and at the end.
    retain: str | None = None
    #: Train the same shape from random weights as well, for as many epochs, to see whether transfer helped.
    compare_scratch: bool = False
    #: Stop at an audio file that is a little shorter than it should be; else what is there is used, with a warning.
    strict: bool = False
    head: str = "ctc"
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
        training, augment = self.training, self.augment
        _require("training.epochs", training.epochs, "at least 1", training.epochs >= 1)
        _require("training.batch_s", training.batch_s, "more than 0", training.batch_s > 0)
        _require("training.clip_norm", training.clip_norm, "more than 0", training.clip_norm > 0)
        _require("training.ema_epochs", training.ema_epochs, "at least 0", training.ema_epochs >= 0)
        _require("training.dev_utterances", training.dev_utterances, "at least 0", training.dev_utterances >= 0)
        _require("training.speed_copies", training.speed_copies, "0 to 4", 0 <= training.speed_copies <= 4)
        shares = {
            "training.warmup": training.warmup, "training.dropout": training.dropout,
            "augment.time_share": augment.time_share, "augment.channel_share": augment.channel_share,
            "augment.warp": augment.warp,
            "classes.label_smoothing": self.classes.label_smoothing,
            "seq2seq.timestamp_share": self.seq2seq.timestamp_share,
            "seq2seq.label_smoothing": self.seq2seq.label_smoothing,
            "seq2seq.nothing_share": self.seq2seq.nothing_share,
            "retention.replay_share": self.retention.replay_share,
        }  # fmt: skip
        for name, value in shares.items():
            _require(name, value, "at least 0 and less than 1", 0 <= value < 1)
        _require("seq2seq.beams", self.seq2seq.beams, "at least 1", self.seq2seq.beams >= 1)
        _require("augment.time_frames", augment.time_frames, "at least 1", augment.time_frames >= 1)
        heard = not augment.warp or augment.where == "spectrogram"
        _require("augment.warp", augment.warp, '0, or augment.where "spectrogram"', heard)
        _require("training.device_batch_s", training.device_batch_s, "at least 0", training.device_batch_s >= 0)
        _require(
            "training.checkpoint_minutes", training.checkpoint_minutes, "more than 0", training.checkpoint_minutes > 0
        )
        _require("pooling.stride", self.pooling.stride, "1 to 8", 1 <= self.pooling.stride <= 8)
        choices = {
            "head": (self.head, ("ctc", "classification", "seq2seq")),
            "seq2seq.task": (self.seq2seq.task, ("transcribe", "translate")),
            "text.vocabulary": (self.text.vocabulary, ("keep", "extend", "new")),
            "classes.pooling": (self.classes.pooling, ("mean", "mean-deviation", "attentive")),
            "training.cache": (training.cache, ("auto", "memory", "disk", "off")),
            "training.cache_dtype": (training.cache_dtype, ("half", "float32")),
            "training.guard": (training.guard, ("off", "warn", "rollback")),
            "training.precision": (training.precision, ("auto", "float32", "bfloat16")),
            "augment.where": (augment.where, ("seam", "spectrogram")),
            "pooling.kind": (self.pooling.kind, ("mean", "learned")),
        }
        for name, (choice, known) in choices.items():
            _require(name, repr(choice), f"one of {', '.join(known)}", choice in known)
        for tracker in training.trackers:
            _require("training.trackers", repr(tracker), "mlflow, trackio or wandb", tracker in TRACKERS)


def _name_language(config: Seq2SeqConfig | RetentionConfig) -> None:
    """Put the code of a language in place of its name; what no table knows stays, for the model may know it."""
    object.__setattr__(config, "language", language_code(config.language) or config.language)


def _require(name: str, value: object, wanted: str, holds: bool) -> None:
    if not holds:
        raise ConfigError(f"{name} is {value}; wanted {wanted}")


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file as nested dictionaries.

    Raises:
        ConfigError: missing or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); wanted a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML ({error})") from error


def parse_assignment(text: str) -> dict[str, Any]:
    """`training.epochs=5` -> {"training": {"epochs": 5}}; values as in TOML, bare words are strings.

    Raises:
        ConfigError: there is no `=` or no key.
    """
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r}: wanted key=value, for instance training.epochs=5")
    try:
        value: Any = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw.strip()
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    return typing.cast(dict[str, Any], value)


def merge(layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Nested dictionaries laid over one another, the last on top."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            both = isinstance(value, Mapping) and isinstance(below, Mapping)
            merged[key] = merge([below, value]) if both else value  # type: ignore[list-item]
    return merged


T = typing.TypeVar("T")


def build(kind: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """A configuration dataclass from nested values.

    Raises:
        ConfigError: an unknown key (with the closest known one), a value of the wrong type, a missing key.
    """
    hints = typing.get_type_hints(kind)
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{where}{key}"
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {where}{near[0]}?" if near else f"known: {', '.join(fields)}"
            raise ConfigError(f"{name} is not a setting; {hint}")
        arguments[key] = _convert(hints[key], value, name)
    required = (name for name, item in fields.items() if item.default is item.default_factory is dataclasses.MISSING)
    missing = [f"{where}{name}" for name in required if name not in arguments]
    if missing:
        raise ConfigError(f"{', '.join(missing)} must be given, on the command line or in the configuration file")
    return kind(**arguments)


def _convert(hint: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name} is a group of settings; wanted {name}.KEY, found {value!r}")
        return build(hint, value, f"{name}.")
    if typing.get_origin(hint) is list:
        if not isinstance(value, list):
            raise ConfigError(f"{name} is {value!r}; wanted a list, for instance [{value!r}]")
        return [_convert(typing.get_args(hint)[0], item, name) for item in value]
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if float in options and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) in options:
        return value
    wanted = " or ".join(option.__name__ for option in options if option is not types.NoneType)
    raise ConfigError(f"{name} is {value!r}, a {type(value).__name__}; wanted {wanted}")


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain values; what is None is left out, since TOML has no such thing."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strip(item) for key, item in value.items() if item is not None}
        return value

    return typing.cast(dict[str, Any], strip(dataclasses.asdict(config)))
