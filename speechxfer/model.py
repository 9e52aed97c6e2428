"""`SpeechModel`: an encoder with a head, loaded and saved as one folder and put to use."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Unpack, cast, overload

import numpy as np
import torch
from numpy.typing import ArrayLike
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
from speechxfer.inference import Event, Recognize, Segment, Settings, Transcript, events, transcribe_many
from speechxfer.inference.classifying import classify
from speechxfer.inference.silence import is_silent
from speechxfer.inference.voice_activity import detector
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
        vad: str = "auto",
        progress: Callable[[float], None] | None = None,
        **reading: Unpack[Options],
    ) -> Transcript:
        """Transcribe a file, its bytes, or an array with its `sample_rate` in Hz; of any length.

        Long audio is cut at pauses and streamed, so memory does not grow with it. Long stretches without speech are
        left out.

        Args:
            options: how the model decodes, in this call only.
            language: short for the option of this name.
            vad: how speech is found: by "silero", a network, or by its "energy"; "none" leaves out silence alone.
                "auto" is the network where its packages are installed, else the energy.
            progress: called with the seconds done.
            reading: which `stream` and `channel` of a file is read; whether a file that is a little shorter than its
                header says is an error (`strict`), and what is called with a warning otherwise (`notify`).

        Raises:
            AudioError: the audio cannot be used.
            ConfigError: an option that the head does not have, a language given twice, an array without its rate, a
                file with one, a stream of an array, or another `vad`.
        """
        (transcript,) = self.transcribe_many(
            [audio], sample_rate=sample_rate, options=options, language=language, vad=vad,
            progress=progress and (lambda _index, seconds: progress(seconds)), **reading,
        )  # fmt: skip
        return transcript

    def transcribe_segments(
        self,
        audio: Source | ArrayLike,
        *,
        sample_rate: int | None = None,
        options: DecodingOptions | None = None,
        language: str | None = None,
        vad: str = "auto",
        **reading: Unpack[Options],
    ) -> Iterator[Segment]:
        """The segments of a transcript as they come, in order; arguments and errors are those of `transcribe`."""
        recording = functools.partial(_stream, audio, sample_rate, reading)
        return _segments(events([recording], self._recognizer(options, language), self._settings(vad)))

    @overload
    def transcribe_many(
        self, audios: Iterable[Source | ArrayLike], *, return_exceptions: Literal[False] = False, **arguments: Any
    ) -> Iterator[Transcript]: ...
    @overload
    def transcribe_many(
        self, audios: Iterable[Source | ArrayLike], *, return_exceptions: Literal[True], **arguments: Any
    ) -> Iterator[Transcript | Exception]: ...
    def transcribe_many(
        self,
        audios: Iterable[Source | ArrayLike],
        *,
        return_exceptions: bool = False,
        sample_rate: int | None = None,
        options: DecodingOptions | None = None,
        language: str | None = None,
        vad: str = "auto",
        progress: Callable[[int, float], None] | None = None,
        **reading: Unpack[Options],
    ) -> Iterator[Transcript | Exception]:
        """The transcripts of several recordings, in order; segments of different recordings share a batch.

        A transcript is the same whatever else is transcribed. The other arguments are those of `transcribe`.

        Args:
            audios: files or arrays, as `transcribe` takes them; each is opened when the one before it was read.
            return_exceptions: give what goes wrong with a recording in place of its transcript, rather than raise it.
            progress: called with the number of a recording, counted from 0, and the seconds of it done.

        Raises:
            AudioError: a recording cannot be used; the transcripts before it are given first.
            ConfigError: as `transcribe`.
        """
        names: deque[str | None] = deque()

        def recordings() -> Iterator[Callable[[], Iterable[np.ndarray]]]:
            for audio in audios:
                names.append(_name(audio))
                yield functools.partial(_stream, audio, sample_rate, reading)

        found = transcribe_many(recordings(), self._recognizer(options, language), self._settings(vad), progress)
        return _named(found, names, return_exceptions=return_exceptions)

    def _recognizer(self, options: DecodingOptions | None, language: str | None) -> Recognize:
        return functools.partial(self.recognize, options=self.checked(options, language))

    def _settings(self, vad: str) -> Settings:
        """How recordings are transcribed: with large batches where they are fast."""
        factor = 1 if self.device.type == "cpu" else 8
        return Settings(
            max_segment_s=self._segment_s,
            batch_s=factor * Settings.batch_s,
            ahead_s=factor * Settings.ahead_s,
            computed_s=self.encoder.computed_s,
            detector=detector(vad),
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


def _segments(found: Iterable[tuple[int, Event]]) -> Iterator[Segment]:
    """The segments of one recording; what went wrong is raised."""
    for _, event in found:
        if isinstance(event, Exception):
            raise event
        if isinstance(event, Segment):
            yield event


def _named(
    found: Iterable[Transcript | Exception], names: deque[str | None], *, return_exceptions: bool
) -> Iterator[Transcript | Exception]:
    """Transcripts with their sources."""
    for result in found:
        name = names.popleft()
        if isinstance(result, Exception):
            if not return_exceptions:
                raise result
            yield result
        else:
            yield replace(result, source=name)
