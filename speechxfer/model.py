"""`SpeechModel`: an encoder with a head, loaded and saved as one folder and put to use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from speechxfer import adapters
from speechxfer.audio import Options, Source, blocks, from_array, is_file
from speechxfer.data.text import CTCVocabulary, TextNormalizer
from speechxfer.decoding.hypothesis import Classification, Hypothesis, Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.encoders import load_encoder, restore_encoder
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import ADAPTER_FILE, MODEL_FILE, Checkpoint, find
from speechxfer.encoders.files import read_json
from speechxfer.encoders.weights import read_weights
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.heads.base import Head
from speechxfer.heads.classification import ClassificationHead
from speechxfer.heads.ctc import CTCHead
from speechxfer.interchange import folder_of, options_of, read_head
from speechxfer.storage import replacing_folder, write_json, write_tensors
from speechxfer.transcription import Transcript, transcribe
from speechxfer.transcription.classifying import classify
from speechxfer.transcription.silence import is_silent

#: 1 had names of weights that no other tool knows.
_FORMAT = 2
_SEGMENT_S = 28.0
#: What a device may be called.
_DEVICE = re.compile(r"cpu|(cuda|mps|xpu)(:(0|[1-9]\d{0,2}))?")


class SpeechModel(nn.Module):
    """An encoder and the head on it.

    Args:
        encoder: waveforms to hidden states.
        head: hidden states to labels.
        source: where the pre-trained weights came from; kept in the folder.
    """

    def __init__(self, encoder: Encoder, head: Head, source: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.source = source

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @classmethod
    def load(cls, name: str, *, device: str = "auto") -> SpeechModel:
        """Open an adapted model, a CTC or classification model of `transformers`, or a Whisper with its own decoder.

        Raises:
            CheckpointError: not found, damaged, or without a head, so that it says nothing by itself.
            ConfigError: the device does not exist.
        """
        chosen = choose_device(device)
        opened = open_checkpoint(find(name), with_decoder=True)
        if opened.head is None:
            problem = opened.problem or f"{name}: is an encoder ({opened.encoder.family}) without a head"
            raise CheckpointError(f"{problem}; its encoder can be adapted with speechxfer finetune")
        return cls(opened.encoder, opened.head, opened.source).to(chosen).eval()

    def save(self, folder: str | Path) -> None:
        """Write weights, `speechxfer.json` and, where `transformers` has a class for such a model, its files.

        All of them or none. Low-rank adapters are merged into the weights, and kept as PEFT has them in `adapter/`.

        Raises:
            StorageError: it could not be written; a model that stood there before is untouched.
        """
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in adapters.merged_state(self).items()}
        theirs = folder_of(self.encoder, self.head)
        renamed = theirs.theirs if theirs else dict
        # A head with adapters of its own is not trained itself.
        own = {} if self.head.attention_matrices else {key: state[key] for key in state if key.startswith("head.")}
        description = {"source": self.source, "encoder": self.encoder.describe(), "head": self.head.describe()}
        with replacing_folder(Path(folder)) as temporary:
            write_tensors(temporary / "model.safetensors", renamed(state))
            adapters.write(self, temporary / "adapter", source=self.source, whole=own, renamed=renamed)
            for name, content in (theirs.files if theirs else {}).items():
                write_json(temporary / name, content)
                if name != "config.json" and (temporary / "adapter").is_dir():  # which has no base model's vocabulary
                    write_json(temporary / "adapter" / name, content)
            write_json(temporary / MODEL_FILE, {"format": _FORMAT, **description})

    @torch.inference_mode()
    def predict(self, waveforms: Sequence[np.ndarray], options: DecodingOptions | None = None) -> Sequence[Prediction]:
        """One prediction for each float32 mono 16 kHz waveform; together they make one batch.

        The transcript of silence is empty, whatever a decoder would write. A call changes nothing in the model, so
        several threads may use one.

        Raises:
            ConfigError: an option that the head does not have.
        """
        options = options or DecodingOptions()
        self.head.check_options(options)
        transcribing = self.head.task == "transcription"
        asked = [index for index, one in enumerate(waveforms) if not (transcribing and is_silent(one))]
        found: list[Prediction] = [Hypothesis("")] * len(waveforms)
        if asked:
            inputs, num_samples = self.encoder.collate([waveforms[index] for index in asked])
            hidden_states, num_frames = self.encoder(inputs.to(self.device), num_samples.to(self.device))
            predictions = self.head.decode(hidden_states, num_frames, options)
            for index, prediction in zip(asked, predictions, strict=True):
                found[index] = prediction
        return found

    def recognize(self, waveforms: Sequence[np.ndarray], options: DecodingOptions | None = None) -> list[Hypothesis]:
        """One hypothesis for each float32 mono 16 kHz waveform; together they make one batch.

        Raises:
            ConfigError: an option that the head does not have, or the model is a classifier.
        """
        if self.head.task != "transcription":
            raise ConfigError("this model tells classes apart and writes no text; use speechxfer classify")
        return cast(list[Hypothesis], list(self.predict(waveforms, options)))

    def transcribe(
        self,
        audio: Source | ArrayLike,
        *,
        sample_rate: int | None = None,
        options: DecodingOptions | None = None,
        language: str | None = None,
        progress: Callable[[float], None] | None = None,
        **reading: Unpack[Options],
    ) -> Transcript:
        """Transcribe a file, its bytes, or an array with its `sample_rate` in Hz; of any length.

        Long audio is cut at silences and streamed, so memory does not grow with it.

        Args:
            options: how the model decodes, in this call only.
            language: short for the option of this name.
            progress: called with the seconds done.
            reading: which `stream` and `channel` of a file is read; whether a file that is a little shorter than its
                header says is an error (`strict`), and what is called with a warning otherwise (`notify`).

        Raises:
            AudioError: the audio cannot be used.
            ConfigError: an option that the head does not have, a language given twice, an array without its rate, a
                file with one, or a stream of an array.
        """
        chosen = _with_language(options or DecodingOptions(), language)
        self.head.check_options(chosen)
        return transcribe(
            _stream(audio, sample_rate, reading),
            lambda waveforms: self.recognize(waveforms, chosen),
            max_segment_s=self._segment_s,
            cost_s=self.encoder.computed_s,
            source=_name(audio),
            progress=progress,
        )

    def classify(
        self,
        audio: Source | ArrayLike,
        *,
        sample_rate: int | None = None,
        options: DecodingOptions | None = None,
        progress: Callable[[float], None] | None = None,
        **reading: Unpack[Options],
    ) -> Classification:
        """Tell which class a file, its bytes, or an array with its `sample_rate` in Hz is of.

        Audio longer than a segment (28 s) is cut at pauses; its probabilities are the mean over the segments, each
        weighted by its length. The arguments are those of `transcribe`.

        Raises:
            AudioError: the audio cannot be used.
            ConfigError: an option that the head does not have, an array without its rate, or a model that writes text.
        """
        if self.head.task != "classification":
            raise ConfigError("this model writes text and tells no classes; use speechxfer transcribe")

        chosen = options or DecodingOptions()
        self.head.check_options(chosen)
        return classify(
            _stream(audio, sample_rate, reading),
            lambda waveforms: cast(list[Classification], list(self.predict(waveforms, chosen))),
            max_segment_s=self._segment_s,
            cost_s=self.encoder.computed_s,
            source=_name(audio),
            progress=progress,
        )

    @property
    def _segment_s(self) -> float:
        return min(_SEGMENT_S, self.encoder.max_duration_s or _SEGMENT_S)


def _with_language(options: DecodingOptions, language: str | None) -> DecodingOptions:
    if language is None:
        return options
    if options.language is not None:
        raise ConfigError(f"language is {language!r}, and in options {options.language!r}; leave one of them out")
    return replace(options, language=language)


def _stream(audio: Source | ArrayLike, sample_rate: int | None, options: Options) -> Iterable[np.ndarray]:
    """Blocks of float32 mono 16 kHz."""
    if is_file(audio):
        if sample_rate is not None:
            raise ConfigError("sample_rate is that of an array of samples; a file has its own: leave it out")
        return blocks(cast(Source, audio), **options)
    if sample_rate is None:
        raise ConfigError("an array of samples needs its sample_rate, in Hz")
    if options.get("stream") is not None:
        raise ConfigError("stream: an array has no streams, of which one could be read; leave it out")
    return iter([from_array(cast(ArrayLike, audio), sample_rate, channel=options.get("channel"))])


def _name(audio: Source | ArrayLike) -> str | None:
    return str(audio) if isinstance(audio, str | Path) else None


@dataclass(frozen=True)
class Opened:
    """What a checkpoint holds, on the CPU."""

    encoder: Encoder
    #: None where it is an encoder only.
    head: Head | None
    #: Where the pre-trained weights came from first.
    source: str
    #: Why a head that is there cannot be opened.
    problem: str | None = None
    #: Whether the checkpoint is a Whisper with its own decoder, opened or not.
    has_decoder: bool = False


def open_checkpoint(checkpoint: Checkpoint, *, with_decoder: bool = False, **options: Any) -> Opened:
    """The encoder of a checkpoint and the head on it, if there is one that can be opened.

    Args:
        with_decoder: open a Whisper with its own decoder; unless options say otherwise, on what that was trained on:
            30 s, whatever was said.
        options: of the encoder; those that are false count as not set.

    Raises:
        CheckpointError: damaged, or of a kind that is not known.
        ConfigError: an option is set that the encoder does not have.
    """
    if checkpoint.is_ours:
        return _open_saved(checkpoint, options)
    config, state = checkpoint.read()
    has_decoder = any(name.startswith("model.decoder.") for name in state)
    decodes = with_decoder and has_decoder
    usual = {"pad_to_30s": True} | options if decodes else options | options_of(state)
    encoder = load_encoder(checkpoint.name, config, state, **usual)
    head, problem = None, None
    try:
        head = (_decoder if decodes else read_head)(checkpoint, config, state, encoder)
    except CheckpointError as error:
        problem = str(error)
    return Opened(encoder, head, checkpoint.name, problem, has_decoder)


def _decoder(checkpoint: Checkpoint, config: Mapping[str, Any], state: Mapping[str, Tensor], encoder: Encoder) -> Head:
    from speechxfer.heads.whisper_checkpoint import load_whisper_head

    return load_whisper_head(checkpoint, config, state, attend_everything=encoder.fixed_length, untouched=True)


def _open_saved(checkpoint: Checkpoint, options: Mapping[str, Any]) -> Opened:
    description = read_json(checkpoint.folder / MODEL_FILE)
    if description.get("format") != _FORMAT:
        raise CheckpointError(
            f"{checkpoint.folder / MODEL_FILE}: format {description.get('format')!r}, but this version reads "
            f"format {_FORMAT}; upgrade speechxfer or train again"
        )
    if checkpoint.has_adapter:
        raise CheckpointError(f"{checkpoint.folder}: holds an adapter of PEFT ({ADAPTER_FILE}) beside an adapted model; move it to a folder of its own that names this one (base_model_name_or_path)")  # fmt: skip  # noqa: E501
    described = description["encoder"]
    wanted = {name: value for name, value in options.items() if value}
    encoder = restore_encoder({**described, "options": {**described["options"], **wanted}})
    head = restore_head(description["head"], encoder, checkpoint)
    model = SpeechModel(encoder, head, description["source"])
    state, theirs = read_weights(checkpoint.folder), folder_of(restore_encoder(described), head)
    try:
        model.load_state_dict(theirs.ours(state) if theirs else state)
    except RuntimeError as error:
        detail = " ".join(str(error).split())
        raise CheckpointError(f"{checkpoint.folder}: weights do not fit {MODEL_FILE}: {detail:.300}") from error
    return Opened(encoder, head, description["source"])


def restore_head(description: dict[str, Any], encoder: Encoder, checkpoint: Checkpoint) -> Head:
    """Build the head that `Head.describe` described, with random weights; its folder holds what else it needs.

    Raises:
        CheckpointError: of a kind or normalizer version that this version does not have.
    """
    kind = description.get("kind")
    if kind == "classification":
        return ClassificationHead.restore(description, encoder.width, encoder.num_states)
    if kind not in ("ctc", "seq2seq"):
        raise CheckpointError(f"a head of kind {kind!r} is unknown to this version (known: classification, ctc, seq2seq)")  # fmt: skip  # noqa: E501
    if kind == "seq2seq":
        from speechxfer.heads.seq2seq import WhisperSeq2SeqHead

        return WhisperSeq2SeqHead.restore(description, encoder.describe()["config"], checkpoint)
    normalizer = TextNormalizer.restore(description["normalizer"])
    vocabulary = CTCVocabulary(cast(list[str], description["vocabulary"]["symbols"]))
    return CTCHead(encoder.width, encoder.output_frame_rate, vocabulary, normalizer, states=encoder.num_states)


def choose_device(name: str) -> torch.device:
    """The device of this name, on which something has been computed; `auto` is the GPU if there is one.

    Raises:
        ConfigError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not _DEVICE.fullmatch(name):
        raise ConfigError(f"device {name!r} is not known; wanted auto, cpu, cuda or cuda:N")
    try:
        device = torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built for a device
        reason = str(error).strip().partition("\n")[0].partition(". ")[0].rstrip(".")
        raise ConfigError(
            f"device {name!r}: torch cannot use it here ({reason:.120}); `speechxfer doctor` says more, or use "
            "--device cpu"
        ) from error
    return device if ":" in name else torch.device(name)  # without a number where none was given


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Of a computation under autocast, float32 standing for none; `auto` is bfloat16 on a GPU that has it."""
    if name == "auto":
        name = "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    return torch.bfloat16 if name == "bfloat16" else torch.float32
