"""Transcripts in the formats of OpenAI's interface."""

from __future__ import annotations

import json
import math
import uuid
import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse, PlainTextResponse

from speechxfer.decoding.hypothesis import Word
from speechxfer.decoding.options import DecodingOptions
from speechxfer.inference import Segment, Transcript
from speechxfer.inference.transcript import text_of
from speechxfer.inference.writers import write
from speechxfer.server.errors import ApiError, api_error
from speechxfer.server.fields import Asked

_TYPES = {"text": "text/plain", "srt": "application/x-subrip", "vtt": "text/vtt"}


def response(transcript: Transcript, asked: Asked, language: str) -> Response:
    """The whole transcript.

    Raises:
        ApiError: log-probabilities are asked for, and the model gives none.
    """
    if asked.format in _TYPES:
        content = write(transcript, {"text": "txt"}.get(asked.format, asked.format))
        return PlainTextResponse(content, media_type=f"{_TYPES[asked.format]}; charset=utf-8")
    usage = {"type": "duration", "seconds": round(transcript.duration, 3)}
    if asked.format == "verbose_json":
        return JSONResponse({**_verbose(transcript, asked, language), "usage": usage})
    found: dict[str, Any] = {"text": transcript.text, "usage": usage}
    if asked.logprobs:
        found["logprobs"] = logprobs(transcript.segments)
    return JSONResponse(found)


def _verbose(transcript: Transcript, asked: Asked, language: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "task": "transcribe",
        "language": asked.options.language or language,
        "duration": round(transcript.duration, 3),
        "text": transcript.text,
    }
    return {**found, **_times(transcript.segments, asked)}


def _times(segments: Sequence[Segment], asked: Asked, first: int = 0) -> dict[str, Any]:
    """Segments, counted from `first`, and words, as they are asked for."""
    found: dict[str, Any] = {}
    if "segment" in asked.granularities:
        found["segments"] = [_segment(number, one, asked.options) for number, one in enumerate(segments, first)]
    if "word" in asked.granularities:
        found["words"] = words(segments)
    return found


def _segment(number: int, segment: Segment, options: DecodingOptions) -> dict[str, Any]:
    """A segment with all that Whisper gives; no tokens, since not every model has any."""
    text = segment.text.encode()
    return {
        "id": number,
        "seek": round(100 * segment.start),
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text,
        "tokens": [],
        "temperature": options.temperatures[0] if options.temperatures else 0.0,
        "avg_logprob": 0.0 if segment.confidence is None else _log(segment.confidence),
        "compression_ratio": round(len(text) / len(zlib.compress(text)), 3),
        "no_speech_prob": 0.0,
    }


def words(segments: Iterable[Segment]) -> list[dict[str, Any]]:
    """The words with their times in seconds."""
    found = [word for segment in segments for word in segment.words]
    return [{"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3)} for word in found]


def span(segments: Sequence[Segment]) -> dict[str, float]:
    """From when to when segments last, in seconds; 0 where there is none."""
    return {
        "start": round(segments[0].start, 3) if segments else 0.0,
        "end": round(segments[-1].end, 3) if segments else 0.0,
    }


def logprobs(segments: Sequence[Segment]) -> list[dict[str, Any]]:
    """The log-probability of each word.

    Raises:
        ApiError: the model gives none.
    """
    found = [_logprob(word) for segment in segments for word in segment.words]
    if None in found or (not found and any(segment.text for segment in segments)):
        raise ApiError(400, "include: this model gives no confidences of words; leave logprobs out", param="include", code="unsupported_value")  # fmt: skip  # noqa: E501
    return [one for one in found if one is not None]


def _logprob(word: Word) -> dict[str, Any] | None:
    if word.confidence is None:
        return None
    return {"token": word.text, "logprob": _log(word.confidence), "bytes": list(word.text.encode())}


def _log(confidence: float) -> float:
    """The logarithm, of 0 a finite one, which JSON can hold."""
    return round(math.log(max(confidence, 1e-6)), 4)


async def server_sent_events(segments: AsyncIterator[Segment], asked: Asked) -> AsyncIterator[str]:
    """A delta for each segment as it comes, and the whole text at the end; or an error in its place."""
    found: list[Segment] = []
    try:
        async for segment in segments:
            before = len(text_of(found))
            found.append(segment)
            delta: dict[str, Any] = {"type": "transcript.text.delta", "delta": text_of(found)[before:]}
            if asked.logprobs:
                delta["logprobs"] = logprobs([segment])
            if asked.format == "verbose_json":
                delta |= _times([segment], asked, len(found) - 1)
            yield _event(delta)
        done: dict[str, Any] = {"type": "transcript.text.done", "text": text_of(found)}
        if asked.logprobs:
            done["logprobs"] = logprobs(found)
        yield _event(done)
    except Exception as error:
        yield _event({"type": "error", **api_error(error).body}, "error")


def _event(content: dict[str, Any], name: str | None = None) -> str:
    heading = f"event: {name}\n" if name else ""
    return f"{heading}data: {json.dumps(content, ensure_ascii=False)}\n\n"


def new_id(kind: str) -> str:
    """An identifier that no other has."""
    return f"{kind}_{uuid.uuid4().hex[:20]}"
