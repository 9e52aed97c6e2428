"""What trained and exported models have in common: recordings of any length in, transcripts or classes out."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Unpack, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from speechxfer.audio import SAMPLE_RATE, Options, Source, blocks, from_array, is_file
from speechxfer.decoding.calibration import Calibration
from speechxfer.decoding.hypothesis import Classification, Hypothesis, Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.decoding.word_times import within
from speechxfer.errors import ConfigError
from speechxfer.heads.reader import HeadTraits
from speechxfer.inference import Event, Recognize, Segment, Settings, Transcript, events, transcribe_many
from speechxfer.inference.classifying import classify
from speechxfer.inference.silence import is_silent
from speechxfer.inference.streaming import PAUSE_S, Stream, StreamResult
from speechxfer.inference.voice_activity import detector
from speechxfer.inference.word_pauses import without_pauses
from speechxfer.languages import tags_of

_SEGMENT_S = 28.0


class Predictor(ABC):
    """A model that gives a prediction for each waveform.

    A subclass computes predictions; what is done before and after is the same for all. It needs no torch.
    """

    #: What is spoken, where a call does not say it.
    language: str = ""
    #: How confidences are corrected; None where they are as the head gives them.
    calibration: Calibration | None = None
    #: The network that finds speech, where it is not that of the package `silero-vad`.
    voice_activity: Path | None = None

    @property
    @abstractmethod
    def traits(self) -> HeadTraits:
        """What it predicts, and the options of decoding that it takes."""

    @property
    @abstractmethod
    def max_duration_s(self) -> float | None:
        """Longest waveform it can take, in seconds; None where there is no limit."""

    @abstractmethod
    def computed_s(self, duration_s: float) -> float:
        """Seconds of audio that are computed for a waveform on its own."""

    @property
    def batch_scale(self) -> int:
        """How much more is computed at once than on a CPU."""
        return 1

    @abstractmethod
    def _predict(self, waveforms: Sequence[np.ndarray], options: DecodingOptions) -> Sequence[Prediction]:
        """One prediction for each float32 mono 16 kHz waveform, at least one; options are checked."""

    def predict(self, waveforms: Sequence[np.ndarray], options: DecodingOptions | None = None) -> Sequence[Prediction]:
        """One prediction for each float32 mono 16 kHz waveform; together they make one batch.

        The transcript of silence is empty, whatever a decoder would write. A call changes nothing in the model, so
        several threads may use one.

        Raises:
            ConfigError: an option that the head does not have.
        """
        options = self.checked(options)
        transcribing = self.traits.task == "transcription"
        asked = [index for index, one in enumerate(waveforms) if not (transcribing and is_silent(one))]
        found: list[Prediction] = [Hypothesis("")] * len(waveforms)
        if asked:
            predictions = self._predict([waveforms[index] for index in asked], options)
            for index, prediction in zip(asked, predictions, strict=True):
                found[index] = self._finished(prediction, waveforms[index])
        return found

    def _finished(self, prediction: Prediction, waveform: np.ndarray) -> Prediction:
        """A prediction whose words lie within the waveform, one after the other, with calibrated confidences."""
        if not isinstance(prediction, Hypothesis):
            return prediction
        words = within(prediction.words, len(waveform) / SAMPLE_RATE)
        found = replace(prediction, words=words if self.traits.leaves_out_pauses else without_pauses(words, waveform))
        return found if self.calibration is None else self.calibration.calibrated(found)

    def frame_log_probabilities(self, waveforms: Sequence[np.ndarray]) -> list[NDArray[np.float32]]:
        """Natural logarithms of the symbols' probabilities [frames, symbols] of each float32 mono 16 kHz waveform.

        Symbol 0 is the blank; `traits.frame_rate` frames are a second.

        Raises:
            ConfigError: the model has no CTC head.
        """
        if not self.traits.is_frame_synchronous:
            raise ConfigError(f"the model has a {self.traits.kind} head, which gives no probabilities for single frames; wanted a model with a CTC head")  # fmt: skip  # noqa: E501
        return self._frame_log_probabilities(waveforms)

    def _frame_log_probabilities(self, waveforms: Sequence[np.ndarray]) -> list[NDArray[np.float32]]:
        """As `frame_log_probabilities`, of a head that has them."""
        raise NotImplementedError(f"{type(self).__name__} only gives predictions")

    def save(self, folder: str | Path) -> None:
        """Write the model, with its language model and calibration, as a folder; all of it or nothing."""
        raise NotImplementedError(f"{type(self).__name__} cannot be saved")

    def recognize(self, waveforms: Sequence[np.ndarray], options: DecodingOptions | None = None) -> list[Hypothesis]:
        """One hypothesis for each float32 mono 16 kHz waveform; together they make one batch.

        Raises:
            ConfigError: an option that the head does not have, or the model is a classifier.
        """
        self._check_writes_text()
        return cast(list[Hypothesis], list(self.predict(waveforms, options)))

    def _check_writes_text(self) -> None:
        if self.traits.task != "transcription":
            raise ConfigError("this model is a classifier and writes no text; use speechxfer classify")

    def transcribe(
        self,
        audio: Source | ArrayLike,
        *,
        sample_rate: int | None = None,
        options: DecodingOptions | None = None,
        language: str | None = None,
        vad: str = "auto",
        workers: int | None = None,
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
            workers: recordings that are read and searched for speech at the same time, in threads, while others are
                computed; with 0 that is done in between. None is 1 on a GPU and 0 on a CPU.
            progress: called with the seconds done.
            reading: which `stream` and `channel` of a file is read; whether a file that is a little shorter than its
                header says is an error (`strict`), and what is called with a warning otherwise (`notify`).

        Raises:
            AudioError: the audio cannot be used.
            ConfigError: an option that the head does not have, a language given twice, an array without its rate, a
                file with one, a stream of an array, another `vad`, or a negative number of workers.
        """
        (transcript,) = self.transcribe_many(
            [audio], sample_rate=sample_rate, options=options, language=language, vad=vad, workers=workers,
            progress=(lambda _index, seconds: progress(seconds)) if progress else None, **reading,
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
        workers: int | None = None,
        **reading: Unpack[Options],
    ) -> Iterator[Segment]:
        """The segments of a transcript as they come, in order; arguments and errors are those of `transcribe`."""
        recording = functools.partial(_stream, audio, sample_rate, reading)
        return _segments(events([recording], self.recognizer(options, language), self.segmenting(vad, workers)))

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
        workers: int | None = None,
        progress: Callable[[int, float], None] | None = None,
        **reading: Any,
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
                yield functools.partial(_stream, audio, sample_rate, cast(Options, reading))

        settings = self.segmenting(vad, workers)
        found = transcribe_many(recordings(), self.recognizer(options, language), settings, progress)
        return _named(found, names, return_exceptions=return_exceptions)

    def open_stream(
        self,
        sample_rate: float,
        *,
        channel: int | None = None,
        options: DecodingOptions | None = None,
        language: str | None = None,
        vad: str = "auto",
        pause_s: float = PAUSE_S,
        partials: bool = True,
    ) -> Stream:
        """A stream that is fed with chunks of sound as they come in, and gives its transcript.

        Args:
            sample_rate: of the chunks, in Hz.
            channel: take only this one, counted from 0; without it all are mixed, and results come a second later.
            options: how the model decodes.
            language: short for the option of this name.
            vad: how speech is found, as in `transcribe`.
            pause_s: text is final after so many seconds without speech. With less it comes earlier, and a sentence in
                which somebody hesitates is in two parts.
            partials: whether there are results that are not final.

        Raises:
            AudioError: a rate that no recording has.
            ConfigError: as `transcribe`.
        """
        return Stream(
            self.recognizer(options, language), sample_rate, channel=channel, max_segment_s=self._segment_s,
            detector=detector(vad, self.voice_activity), pause_s=pause_s, partials=partials,
        )  # fmt: skip

    def stream(self, chunks: Iterable[ArrayLike], *, sample_rate: float, **arguments: Any) -> Iterator[StreamResult]:
        """The transcript of sound as it comes in: results that are final and, between them, what stands for the next.

        Args:
            chunks: of any size, [num_samples] or [num_samples, channels], floats or integers of 8 to 32 bits.
            sample_rate: in Hz.
            arguments: those of `open_stream`.

        Raises:
            AudioError: a rate that no recording has; while iterating, chunks that are no sound.
            ConfigError: as `transcribe`.
        """
        return self.open_stream(sample_rate, **arguments).results(chunks)

    def recognizer(self, options: DecodingOptions | None, language: str | None = None) -> Recognize:
        """What recognizes waveforms, for `inference.transcribe_many`; arguments and errors as for `transcribe`."""
        self._check_writes_text()
        return functools.partial(self.recognize, options=self.checked(options, language))

    def segmenting(self, vad: str, workers: int | None = None) -> Settings:
        """How recordings are divided, for `inference.transcribe_many`; arguments and errors as for `transcribe`."""
        if workers is not None and workers < 0:
            raise ConfigError(f"workers is {workers}; wanted at least 0")
        return Settings(
            max_segment_s=self._segment_s,
            batch_s=self.batch_scale * Settings.batch_s,
            most_padding=self.traits.most_padding,
            ahead_s=self.batch_scale * Settings.ahead_s,
            computed_s=self.computed_s,
            detector=detector(vad, self.voice_activity),
            # A CPU has no core to spare for it.
            workers=int(self.batch_scale > 1) if workers is None else workers,
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
        if self.traits.task != "classification":
            raise ConfigError("this model writes text and has no classes; use speechxfer transcribe")
        chosen = self.checked(options)
        return classify(
            _stream(audio, sample_rate, reading),
            lambda waveforms: cast(list[Classification], list(self.predict(waveforms, chosen))),
            max_segment_s=self._segment_s, cost_s=self.computed_s, source=_name(audio), progress=progress,
        )  # fmt: skip

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
        self.traits.check_options(chosen)
        return chosen

    @property
    def _decides_language(self) -> bool:
        """Whether each call may name a language."""
        return "language" in self.traits.decoding_options

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
        return min(_SEGMENT_S, self.max_duration_s or _SEGMENT_S)


def _stream(audio: Source | ArrayLike, sample_rate: int | None, options: Options) -> Iterable[np.ndarray]:
    """Blocks of float32 mono 16 kHz."""
    if unknown := sorted(options.keys() - Options.__annotations__.keys()):
        raise ConfigError(f"{unknown[0]} is no option of reading audio; wanted {', '.join(Options.__annotations__)}, or options=DecodingOptions({unknown[0]}=…) for how the model decodes")  # fmt: skip  # noqa: E501
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
