"""The description of requests and responses in OpenAPI; forms are read by `uploads`, which limits them."""

from __future__ import annotations

from typing import Any

from fastapi.responses import PlainTextResponse

from speechxfer.server.fields import FORMATS

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_LIST = {"type": "array", "items": {"type": "string"}}
_FIELDS: dict[str, Any] = {
    "file": {"type": "string", "format": "binary", "description": "The recording, in any format that FFmpeg reads."},
    "model": {
        "type": "string",
        "description": "A name of GET /v1/models; may be left out where there is one.",
    },
    "language": {"type": "string", "description": "Spoken language, as ISO 639-1."},
    "languages[]": {**_LIST, "description": "As language; one."},
    "prompt": {"type": "string", "description": "Text before the recording, if the model takes one."},
    "keywords[]": {**_LIST, "description": "Hotwords, if the model takes them."},
    "temperature": {"type": "number", "minimum": 0, "maximum": 1},
    "response_format": {"type": "string", "enum": list(FORMATS)},
    "timestamp_granularities[]": {"type": "array", "items": {"type": "string", "enum": ["word", "segment"]}},
    "include[]": {"type": "array", "items": {"type": "string", "enum": ["logprobs"]}},
    "stream": {"type": "boolean"},
    "chunking_strategy": {"type": "string", "description": "auto, or an object of type server_vad."},
}
_TEXT = {"schema": {"type": "string"}}


def _errors(*statuses: int) -> dict[str, Any]:
    content = {"application/json": {"schema": _ERROR}}
    return {str(status): {"description": "An error in OpenAI's shape.", "content": content} for status in statuses}


_OK = {
    "description": "The transcript.",
    "content": {
        "application/json": {"schema": {"type": "object", "required": ["text"]}},
        "text/plain": _TEXT, "text/vtt": _TEXT, "application/x-subrip": _TEXT, "text/event-stream": _TEXT,
    },
}  # fmt: skip
_FORM = {"schema": {"type": "object", "required": ["file"], "properties": _FIELDS}}
TRANSCRIPTIONS: dict[str, Any] = {
    "summary": "Transcribe a recording.",
    "responses": {"200": _OK, **_errors(400, 401, 403, 404, 408, 413, 415, 429, 503)},
    "openapi_extra": {"requestBody": {"required": True, "content": {"multipart/form-data": _FORM}}},
}
"""Of POST /v1/audio/transcriptions."""
METRICS: dict[str, Any] = {
    "response_class": PlainTextResponse,
    "responses": {"200": {"description": "Figures for Prometheus."}, **_errors(401, 403)},
}
"""Of GET /metrics."""
MODELS: dict[str, Any] = {"responses": _errors(401, 403, 404)}
"""Of GET /v1/models and below."""
