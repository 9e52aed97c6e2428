"""What trained and exported models have in common: recordings of any length in, transcripts or classes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack, cast

import numpy as np
from numpy.typing import ArrayLike

from speechxfer.audio import SAMPLE_RATE, Options, Source, blocks, from_array, is_file
from speechxfer.decoding.calibration import Calibration
from speechxfer.decoding.hypothesis import Classification, Hypothesis, Prediction
from speechxfer.decoding.options import DecodingOptions
from speechxfer.decoding.word_times import within
from speechxfer.errors import ConfigError
from speechxfer.heads.reader import HeadTraits
from speechxfer.inference import Transcript, transcribe
from speechxfer.inference.classifying import classify
from speechxfer.inference.silence import is_silent
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

    def recognize(self, waveforms: Sequence[np.ndarray], options: DecodingOptions | None = None) -> list[Hypothesis]:
        """One hypothesis for each float32 mono 16 kHz waveform; together they make one batch.

        Raises:
            ConfigError: an option that the head does not have, or the model is a classifier.
        """
        if self.traits.task != "transcription":
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
            cost_s=self.computed_s,
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
        if self.traits.task != "classification":
            raise ConfigError("this model writes text and has no classes; use speechxfer transcribe")
        chosen = self.checked(options)
        return classify(
            _stream(audio, sample_rate, reading),
            lambda waveforms: cast(list[Classification], list(self.predict(waveforms, chosen))),
            max_segment_s=self._segment_s,
            cost_s=self.computed_s,
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
