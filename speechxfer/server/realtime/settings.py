"""The settings of a Realtime session, as OpenAI's client sends them: each is honored, or refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from speechxfer.decoding.options import DecodingOptions
from speechxfer.errors import printable
from speechxfer.server import fields
from speechxfer.server.errors import ApiError

#: Of the sound, in Hz.
RATE = 24_000
_LOGPROBS = "item.input_audio_transcription.logprobs"
#: As OpenAI's sessions begin.
_VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
_FORMAT = {"type": "audio/pcm", "rate": RATE}
_DECODING = ("language", "languages", "prompt", "keywords", "model", "delay")


@dataclass(frozen=True)
class Settings:
    """The settings of a session.

    Attributes:
        model: the name of the model; None is the only one.
        transcription: language, prompt and the like, as the client gave them.
        turns: the settings of server_vad; None where the client says when a turn ends.
        logprobs: whether the words' log-probabilities are wanted.
    """

    model: str | None = None
    transcription: Mapping[str, Any] = field(default_factory=dict)
    turns: Mapping[str, Any] | None = None
    logprobs: bool = False

    @property
    def options(self) -> DecodingOptions:
        """How the model decodes.

        Raises:
            ApiError: a value that no model takes.
        """
        lists = {name: self.transcription.get(name) or () for name in ("languages", "keywords")}
        return fields.decoding(self.transcription, lists)

    def updated(self, session: Any) -> Settings:
        """These settings with what a `session.update` holds.

        Raises:
            ApiError: a setting that is not known, or a value that is not served.
        """
        found = _object("session", session)
        kinds: dict[str, Callable[[Any, Settings], Settings]] = {
            "type": _with_type, "audio": _with_audio, "include": _with_include,
        }  # fmt: skip
        return _applied("session", found, kinds, self)

    def to_dict(self, id_: str) -> dict[str, Any]:
        """The whole settings as a client reads them."""
        transcription = {**self.transcription, "model": self.model}
        turns = None if self.turns is None else {**_VAD, **self.turns}
        audio = {"format": _FORMAT, "noise_reduction": None, "transcription": transcription, "turn_detection": turns}
        return {
            "type": "transcription",
            "id": id_,
            "object": "realtime.transcription_session",
            "audio": {"input": audio},
            "include": [_LOGPROBS] if self.logprobs else [],
        }


#: How a session begins.
START = Settings(turns=_VAD)


def _applied(
    name: str, found: Mapping[str, Any], kinds: Mapping[str, Callable[[Any, Settings], Settings]], settings: Settings
) -> Settings:
    for key, value in found.items():
        if key not in kinds:
            raise _unknown(name, key)
        settings = kinds[key](value, settings)
    return settings


def _with_type(value: Any, settings: Settings) -> Settings:
    if value != "transcription":
        raise _wrong("session.type", f"is {value!r:.60}; this server has transcription sessions only")
    return settings


def _with_include(value: Any, settings: Settings) -> Settings:
    named = value if isinstance(value, list) else [value]
    if wrong := [one for one in named if one != _LOGPROBS and one is not None]:
        raise _wrong("session.include", f"has {wrong[0]!r:.60}; wanted {_LOGPROBS}")
    return replace(settings, logprobs=_LOGPROBS in named)


def _with_audio(value: Any, settings: Settings) -> Settings:
    return _applied("session.audio", _object("session.audio", value), {"input": _with_input}, settings)


def _with_input(value: Any, settings: Settings) -> Settings:
    name = "session.audio.input"
    kinds: dict[str, Callable[[Any, Settings], Settings]] = {
        "format": _with_format, "noise_reduction": _with_noise_reduction,
        "transcription": _with_transcription, "turn_detection": _with_turn_detection,
    }  # fmt: skip
    return _applied(name, _object(name, value), kinds, settings)


def _with_format(value: Any, settings: Settings) -> Settings:
    name = "session.audio.input.format"
    found = {**_FORMAT, **_object(name, value)} if value is not None else _FORMAT
    if found["rate"] != RATE or found["type"] != "audio/pcm":
        raise _wrong(name, f"is {found['type']!r:.40} at {found['rate']!r:.20} Hz; wanted audio/pcm at {RATE}: 16 bits, mono, little-endian")  # fmt: skip  # noqa: E501
    return settings


def _with_noise_reduction(value: Any, settings: Settings) -> Settings:
    if value is not None:
        raise _wrong("session.audio.input.noise_reduction", "the sound is taken as it is; leave it out, or null")
    return settings


def _with_transcription(value: Any, settings: Settings) -> Settings:
    name = "session.audio.input.transcription"
    found = _object(name, value)
    if unknown := [key for key in found if key not in _DECODING]:
        raise _unknown(name, str(unknown[0]))
    if found.get("delay") is not None:
        raise _wrong(f"{name}.delay", "text comes as soon as it is certain; leave it out")
    for key, value_ in found.items():
        wanted = list if key in ("languages", "keywords") else str
        if value_ is not None and not isinstance(value_, wanted):
            raise _wrong(f"{name}.{key}", f"is {value_!r:.60}; wanted a {'list' if wanted is list else 'string'}", "invalid_value")  # fmt: skip  # noqa: E501
    decoding = {key: value for key, value in found.items() if key not in ("model", "delay") and value}
    return replace(settings, model=found.get("model") or settings.model, transcription={**settings.transcription, **decoding})  # fmt: skip  # noqa: E501


def _with_turn_detection(value: Any, settings: Settings) -> Settings:
    name = "session.audio.input.turn_detection"
    if value is None:
        return replace(settings, turns=None)
    found = _object(name, value)
    unserved = {"create_response": False, "interrupt_response": False, "idle_timeout_ms": None}
    for key in unserved.keys() & found.keys():
        if found[key]:
            raise _wrong(f"{name}.{key}", "a transcription session gives no responses; leave it out")
    return replace(settings, turns={key: one for key, one in found.items() if key not in unserved and one is not None})


def _object(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(name, f"is {value!r:.60}; wanted an object", "invalid_value")
    return value


def _unknown(name: str, key: str) -> ApiError:
    return _wrong(f"{name}.{printable(key)[:40]}", "is no setting of a transcription session", "unknown_parameter")


def _wrong(param: str, what: str, code: str = "unsupported_value") -> ApiError:
    return ApiError(400, f"{param}: {what}", param=param, code=code)
