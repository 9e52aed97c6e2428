"""The fields of a transcription request, as OpenAI's client sends them: each is honored, or refused by its name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from speechxfer.audio import SAMPLE_RATE
from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import ConfigError, printable
from speechxfer.inference.silence import HOP
from speechxfer.inference.voice_activity import Detector
from speechxfer.predictor import Predictor
from speechxfer.server.errors import ApiError

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_STREAMED = ("json", "text", "verbose_json")
_GRANULARITIES = ("segment", "word")
_INCLUDED = ("logprobs",)
_SINGLE = ("model", "language", "prompt", "temperature", "response_format", "stream", "chunking_strategy")
_LISTS = ("timestamp_granularities", "include", "keywords", "languages")
_SPEAKERS = ("known_speaker_names", "known_speaker_references")
_VAD = ("type", "threshold", "prefix_padding_ms", "silence_duration_ms")
_HOP_MS = 1000 * HOP / SAMPLE_RATE
#: "name", "name[]" and "name[key]".
_NAME = re.compile(r"(?P<name>\w+)(?:\[(?P<key>\w*)\])?")


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Attributes:
        model: the name of a model, if the request has one.
        options: how it decodes.
        format: of the response.
        granularities: what has times in verbose_json.
        logprobs: whether the words' log-probabilities are wanted.
        streamed: whether the text is wanted as it comes.
        chunking: the settings of server_vad, if there are any.
    """

    model: str | None
    options: DecodingOptions
    format: str
    granularities: frozenset[str]
    logprobs: bool
    streamed: bool
    chunking: Mapping[str, Any]

    def detector(self, detect: Detector) -> Detector:
        """The model's detector with the request's settings.

        Raises:
            ApiError: a setting that is not known or not served.
        """
        return voice_activity("chunking_strategy", self.chunking, detect) if self.chunking else detect


def read(items: Iterable[tuple[str, str]]) -> Asked:
    """The fields of a form, by name and value.

    Raises:
        ApiError: a field that is not known, or a value that is not served.
    """
    single, lists, chunking = _sorted(items)
    format_ = _one_of("response_format", single.get("response_format", "json"), FORMATS)
    granularities = _all_of("timestamp_granularities", lists, _GRANULARITIES)
    include = _all_of("include", lists, _INCLUDED)
    streamed = _flag("stream", single.get("stream", "false"))
    if granularities and format_ != "verbose_json":
        raise _wrong("timestamp_granularities", f"is for response_format verbose_json, which is {format_!r}")
    if include and format_ != "json":
        raise _wrong("include", f"logprobs are for response_format json, which is {format_!r}")
    if streamed and format_ not in _STREAMED:
        raise _wrong(
            "stream", f"events have text and times; wanted response_format {', '.join(_STREAMED)}, which is {format_!r}"
        )
    return Asked(
        model=single.get("model"),
        options=decoding(single, lists),
        format=format_,
        granularities=frozenset(granularities or ["segment"]),
        logprobs=bool(include),
        streamed=streamed,
        chunking=_chunking(single.get("chunking_strategy"), chunking),
    )


def decoding(single: Mapping[str, Any], lists: Mapping[str, Sequence[str]]) -> DecodingOptions:
    """The options of decoding in fields of a request or of a Realtime session."""
    temperature = _number("temperature", single.get("temperature", 0), 0, 1)
    try:
        return DecodingOptions(
            language=_language(single.get("language"), lists.get("languages", ())),
            prompt=single.get("prompt") or None,
            # 0 is the model's own default: greedy or a search, and other temperatures where a text looks wrong.
            temperature=temperature or None,
            hotwords=tuple(lists.get("keywords", ())) or None,
        )
    except ConfigError as error:
        raise ApiError(400, _renamed(str(error)), param=_param(str(error)), code="invalid_value") from error


def checked(model: Predictor, options: DecodingOptions) -> DecodingOptions:
    """Options with the model's defaults.

    Raises:
        ApiError: the model has no such option.
    """
    try:
        return model.checked(options)
    except ConfigError as error:
        raise ApiError(400, _renamed(str(error)), param=_param(str(error)), code="unsupported_parameter") from error


def _sorted(items: Iterable[tuple[str, str]]) -> tuple[dict[str, str], dict[str, list[str]], dict[str, str]]:
    """Single values and lists by the names of their fields, and the entries of chunking_strategy."""
    single: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    chunking: dict[str, str] = {}
    for field, value in items:
        match = _NAME.fullmatch(field)
        name, key = (match["name"], match["key"]) if match else (field, None)
        if name in _SPEAKERS:
            raise _wrong(name, "this server does not tell speakers apart; leave it out", "unsupported_parameter")
        if name in _LISTS and not key:
            lists.setdefault(name, []).append(value)
        elif name == "chunking_strategy" and key:
            chunking[key] = value
        elif name in _SINGLE and key is None:
            if name in single:
                raise _wrong(name, "is given twice")
            single[name] = value
        else:
            raise _wrong(printable(field)[:60], "is no field of a transcription request", "unknown_parameter")
    return single, lists, chunking


def _language(language: str | None, languages: Sequence[str]) -> str | None:
    named = [*dict.fromkeys(one for one in (language, *languages) if one)]
    if len(named) > 1:
        raise _wrong("languages", f"is {', '.join(named)!r:.80}; a recording is transcribed in one language: name one", "unsupported_value")  # fmt: skip  # noqa: E501
    return named[0] if named else None


def _chunking(strategy: str | None, entries: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of an object, as text or by its entries."""
    if strategy and strategy not in ("auto", "null"):
        try:
            entries = {**entries, **json.loads(strategy)}
        except (ValueError, TypeError, RecursionError):
            raise _wrong("chunking_strategy", f"is {strategy!r:.60}; wanted auto, or an object of type server_vad") from None  # fmt: skip  # noqa: E501
    return entries


def voice_activity(name: str, entries: Mapping[str, Any], detect: Detector) -> Detector:
    """A detector with the settings of a server_vad object.

    Raises:
        ApiError: an entry that is not known or not served.
    """
    if unknown := [key for key in entries if key not in _VAD]:
        raise _wrong(f"{name}.{printable(str(unknown[0]))[:40]}", "is no setting of server_vad", "unknown_parameter")
    if entries.get("type") != "server_vad":
        raise _wrong(f"{name}.type", f"is {entries.get('type')!r:.60}; wanted server_vad", "unsupported_value")
    threshold = entries.get("threshold")
    if threshold is not None and _number(f"{name}.threshold", threshold, 0, 1) != 0.5:
        raise _wrong(f"{name}.threshold", "the detector has a fixed threshold; leave it out", "unsupported_value")
    padding, silence = entries.get("prefix_padding_ms"), entries.get("silence_duration_ms")
    pause = detect.longest_pause
    if silence is not None:
        pause = round(_number(f"{name}.silence_duration_ms", silence, 100, 60_000) / _HOP_MS)
    margin = min(detect.margin, pause // 2)
    if padding is not None:
        margin = min(round(_number(f"{name}.prefix_padding_ms", padding, 0, 60_000) / _HOP_MS), pause // 2)
    return replace(detect, longest_pause=pause, margin=margin)


def _one_of(name: str, value: str, wanted: Sequence[str]) -> str:
    if value == "diarized_json":
        raise _wrong(name, "is 'diarized_json', but this server does not tell speakers apart", "unsupported_value")
    if value not in wanted:
        raise _wrong(name, f"is {value!r:.60}; wanted one of {', '.join(wanted)}")
    return value


def _all_of(name: str, lists: Mapping[str, Sequence[str]], wanted: Sequence[str]) -> list[str]:
    return [_one_of(name, value, wanted) for value in lists.get(name, ())]


def _flag(name: str, value: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False, "null": False, "": False}
    if value.lower() not in known:
        raise _wrong(name, f"is {value!r:.60}; wanted true or false")
    return known[value.lower()]


def _number(name: str, value: Any, least: float, most: float) -> float:
    try:
        found = float(value or 0)
    except (TypeError, ValueError):
        found = float("nan")
    if not least <= found <= most:
        raise _wrong(name, f"is {value!r:.60}; wanted a number from {least} to {most}")
    return found


def _wrong(param: str, what: str, code: str = "invalid_value") -> ApiError:
    return ApiError(400, f"{param}: {what}", param=param, code=code)


def _param(message: str) -> str:
    """The field that an error of decoding is about, whose message begins with the option's name."""
    option = message.split(" ", 1)[0]
    return {"hotwords": "keywords"}.get(option, option)


def _renamed(message: str) -> str:
    return re.sub(r"^hotwords\b", "keywords", message)
