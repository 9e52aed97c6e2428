"""`SpeechModel`: an encoder with a head, loaded and saved as one folder and put to use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from speechxfer import adapters
from speechxfer.audio import Options, Source, blocks, from_array, is_file
from speechxfer.decoding.hypothesis import Classification, Hypothesis, Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.device import cast_matrices, choose_device, choose_dtype, set_threads
from speechxfer.encoders.base import Encoder
from speechxfer.encoders.checkpoints import MODEL_FILE, find
from speechxfer.errors import CheckpointError, ConfigError
from speechxfer.heads.base import Head
from speechxfer.hf_format import folder_of
from speechxfer.inference import Transcript, transcribe
from speechxfer.inference.classifying import classify
from speechxfer.inference.silence import is_silent
from speechxfer.languages import tags_of
from speechxfer.opening import FORMAT, OWN, open_checkpoint
from speechxfer.storage import replacing_folder, write_json, write_tensors

_SEGMENT_S = 28.0


class SpeechModel(nn.Module):
    """An encoder and the head on it.

    Args:
        encoder: waveforms to hidden states.
        head: hidden states to labels.
        source: where the pre-trained weights came from; kept in the folder.
        language: what is spoken, where a call does not say it; of a model of several languages that was opened in one
            of them, its tag, which is kept in the folder.
    """

    def __init__(self, encoder: Encoder, head: Head, source: str, language: str = "") -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.source = source
        self.language = language
        #: What matrices are stored and multiplied in.
        self.dtype = torch.float32

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @classmethod
    def load(
        cls, name: str, *, device: str = "auto", dtype: str = "float32", threads: int | None = None,
        revision: str | None = None, language: str | None = None,
    ) -> SpeechModel:  # fmt: skip
        """Open an adapted model, a CTC or classification model of `transformers`, or one with its own decoder.

        Several threads may use one model: a call changes nothing in it.

        Args:
            name: a folder, an installed package or a hub id.
            device: "auto", "cpu", "cuda" or "cuda:N"; "auto" is the GPU if there is one.
            dtype: "float32", "bfloat16", "float16" (not on a CPU) or "auto", which is bfloat16 on a GPU that has it.
                With 16 bits the model takes half the memory; norms, CTC log-probabilities and class probabilities stay
                float32. Such a model is for inference.
            threads: CPU threads of torch for one operation. It holds for this process and all its models; threads of
                Python that have computed before keep their number. None leaves it as it is.
            revision: of a hub id: a branch, a tag or a commit.
            language: what is spoken, by its code or English name. MMS is opened with the adapters, the vocabulary and
                the CTC head of the language; a multilingual Whisper writes it where a call does not name another.

        Raises:
            CheckpointError: not found, damaged, without the language, or without a head, so that it gives no
                predictions by itself.
            ConfigError: no such device here, a dtype that the device lacks, less than one thread, a revision of a
                folder or package, or a language of a model that has no choice of them.
        """
        chosen = choose_device(device)
        precision = choose_dtype(dtype, chosen)
        set_threads(threads)
        opened = open_checkpoint(find(name, revision, language=language), head=OWN)
        if opened.head is None:
            problem = opened.problem or f"{name}: is an encoder ({opened.encoder.family}) without a head"
            raise CheckpointError(f"{problem}; its encoder can be adapted with speechxfer finetune")
        model = cls(opened.encoder, opened.head, opened.source, opened.language)
        model.checked(DecodingOptions(language=language))
        model.language = opened.language or language or ""
        if precision != torch.float32:
            model.dtype = precision
            cast_matrices(model, precision)
        return model.to(chosen).eval()

    def save(self, folder: str | Path) -> None:
        """Write weights, `speechxfer.json` and, where `transformers` has a class for such a model, its files.

        All of them or none. Low-rank adapters are merged into the weights, and kept as PEFT has them in `adapter/`.

        Raises:
            ConfigError: it was loaded in 16 bits, so that its weights are rounded.
            StorageError: it could not be written; a model that stood there before is unchanged.
        """
        if self.dtype != torch.float32:
            raise ConfigError(f"the model was loaded as {self.dtype}, which has rounded its weights; load it with dtype='float32' to save it")  # fmt: skip  # noqa: E501
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in adapters.merged_state(self).items()}
        theirs = folder_of(self.encoder, self.head)
        renamed = theirs.theirs if theirs else dict
        # A head with adapters of its own is not trained itself.
        own = {} if self.head.attention_matrices else {key: state[key] for key in state if key.startswith("head.")}
        description = {"source": self.source, "encoder": self.encoder.describe(), "head": self.head.describe()}
        if self.language and not self._decides_language:
            description["language"] = self.language
        with replacing_folder(Path(folder)) as temporary:
            write_tensors(temporary / "model.safetensors", renamed(state))
            adapters.write(self, temporary / "adapter", source=self.source, whole=own, renamed=renamed)
            for name, content in {**self.head.files(), **(theirs.files if theirs else {})}.items():
                write_json(temporary / name, content)
                if name != "config.json" and (temporary / "adapter").is_dir():  # which has no base model's vocabulary
                    write_json(temporary / "adapter" / name, content)
            self.head.write_files(temporary)
            write_json(temporary / MODEL_FILE, {"format": FORMAT, **description})

    @torch.inference_mode()
    def predict(self, waveforms: Sequence[np.ndarray], options: DecodingOptions | None = None) -> Sequence[Prediction]:
        """One prediction for each float32 mono 16 kHz waveform; together they make one batch.

        The transcript of silence is empty, whatever a decoder would write. A call changes nothing in the model, so
        several threads may use one.

        Raises:
            ConfigError: an option that the head does not have.
        """
        options = self.checked(options)
        transcribing = self.head.task == "transcription"
        asked = [index for index, one in enumerate(waveforms) if not (transcribing and is_silent(one))]
        found: list[Prediction] = [Hypothesis("")] * len(waveforms)
        if asked:
            inputs, num_samples = self.encoder.collate([waveforms[index] for index in asked])
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                hidden_states, num_frames = self.encoder(inputs.to(self.device), num_samples.to(self.device))
                predictions = self.head.decode(hidden_states, num_frames, options)
            for index, prediction in zip(asked, predictions, strict=True):
                found[index] = prediction
        return found

    @torch.inference_mode()
    def frame_log_probabilities(self, waveforms: Sequence[np.ndarray]) -> list[NDArray[np.float32]]:
        """Natural logarithms of the symbols' probabilities [frames, symbols] of each float32 mono 16 kHz waveform.

        Symbol 0 is the blank; `encoder.output_frame_rate` frames are a second.

        Raises:
            ConfigError: the model gives none, because it has no CTC head.
        """
        if not self.head.is_frame_synchronous:
            raise ConfigError(f"the model has a {self.head.kind} head, which gives no probabilities for single frames; wanted a model with a CTC head")  # fmt: skip  # noqa: E501
        inputs, num_samples = self.encoder.collate(waveforms)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            hidden_states, num_frames = self.encoder(inputs.to(self.device), num_samples.to(self.device))
            found = self.head.frame_log_probabilities(hidden_states).float().cpu().numpy()
        return [row[:frames] for row, frames in zip(found, num_frames.tolist(), strict=True)]

    def recognize(self, waveforms: Sequence[np.ndarray], options: DecodingOptions | None = None) -> list[Hypothesis]:
        """One hypothesis for each float32 mono 16 kHz waveform; together they make one batch.

        Raises:
            ConfigError: an option that the head does not have, or the model is a classifier.
        """
        if self.head.task != "transcription":
            raise ConfigError("this model is a classifier and writes no text; use speechxfer classify")
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
        chosen = self.checked(options, language)
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
        """Classify a file, its bytes, or an array with its `sample_rate` in Hz; of any length.

        Audio longer than a segment (28 s) is cut at pauses; its probabilities are the mean over the segments, each
        weighted by its length. The arguments are those of `transcribe`.

        Raises:
            AudioError: the audio cannot be used.
            ConfigError: an option that the head does not have, an array without its rate, or a model that writes text.
        """
        if self.head.task != "classification":
            raise ConfigError("this model writes text and has no classes; use speechxfer transcribe")
        chosen = self.checked(options)
        return classify(
            _stream(audio, sample_rate, reading),
            lambda waveforms: cast(list[Classification], list(self.predict(waveforms, chosen))),
            max_segment_s=self._segment_s,
            cost_s=self.encoder.computed_s,
            source=_name(audio),
            progress=progress,
        )

    def checked(self, options: DecodingOptions | None, language: str | None = None) -> DecodingOptions:
        """The options of a call as the head takes them; the language is that of the model, unless the call names one.

        Raises:
            ConfigError: an option that the head does not have, or a language that is given twice.
        """
        if not isinstance(options, DecodingOptions | None):
            raise ConfigError(f"options is {options!r:.80}; wanted DecodingOptions(...)")
        chosen = options or DecodingOptions()
        if language is not None:
            if chosen.language is not None:
                raise ConfigError(f"language is {language!r}, and in options {chosen.language!r}; leave one of them out")  # fmt: skip  # noqa: E501
            chosen = replace(chosen, language=language)
        chosen = self._spoken(chosen)
        self.head.check_options(chosen)
        return chosen

    @property
    def _decides_language(self) -> bool:
        """Whether each call may name a language."""
        return "language" in self.head.decoding_options

    def _spoken(self, options: DecodingOptions) -> DecodingOptions:
        """Options with the model's own language, where a call may name one; else without it."""
        if self._decides_language:
            return options.over(DecodingOptions(language=self.language or None))
        if options.language and self.language:
            if not tags_of(options.language, [self.language]):
                raise ConfigError(f"language is {options.language!r}, but the model was opened in {self.language!r}; leave it out, or open the pre-trained model in that language")  # fmt: skip  # noqa: E501
            return replace(options, language=None)
        return options

    @property
    def _segment_s(self) -> float:
        return min(_SEGMENT_S, self.encoder.max_duration_s or _SEGMENT_S)


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
