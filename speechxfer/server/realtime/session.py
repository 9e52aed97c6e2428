"""The conversation of a Realtime session: what a client sends, and what it is answered."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import numpy as np
from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from speechxfer.audio import SAMPLE_RATE
from speechxfer.errors import printable
from speechxfer.inference.silence import HOP
from speechxfer.inference.streaming import PAUSE_S, Stream, StreamResult
from speechxfer.server import fields
from speechxfer.server.access import TOKEN_PROTOCOL
from speechxfer.server.errors import ApiError, api_error
from speechxfer.server.queueing import Canceled, Queued
from speechxfer.server.realtime.settings import RATE, START, Settings
from speechxfer.server.realtime.turns import Turns
from speechxfer.server.responses import new_id
from speechxfer.server.service import Service

_Handler = Callable[[Mapping[str, Any]], Awaitable[None]]


class Closed(Exception):  # noqa: N818  # nothing is wrong with the code
    """The session ends with this message."""


class Session:
    """One client's session.

    Args:
        socket: accepted.
        service: with the models.
        settings: how it begins.
    """

    def __init__(self, socket: WebSocket, service: Service, settings: Settings) -> None:
        self._socket, self._service, self._settings = socket, service, settings
        self._id = new_id("sess")
        self._num_samples = 0
        self._open(previous=None)

    def _open(self, previous: str | None) -> None:
        """Begin a stream with the present settings."""
        settings = self._settings
        model = self._service.find(settings.model)
        options = fields.checked(model.model, settings.options)
        detector, pause_s = model.detector, PAUSE_S
        if settings.turns is not None:
            detector = fields.voice_activity("session.audio.input.turn_detection", settings.turns, detector)
            pause_s = detector.longest_pause * HOP / SAMPLE_RATE
        self._queued = Queued(model.worker, self._service.limits.timeout_s)
        self._stream = self._queued.live(RATE, options, detector, pause_s)
        self._begin = self._num_samples
        self._turns = Turns(
            by_voice=settings.turns is not None, logprobs=settings.logprobs,
            offset_s=self._num_samples / RATE, previous=previous,
        )  # fmt: skip

    @property
    def _fed_s(self) -> float:
        """Seconds of the present stream."""
        return (self._num_samples - self._begin) / RATE

    async def run(self) -> None:
        """Answer the client until it leaves."""
        await self._send({"type": "session.created", "session": self._settings.to_dict(self._id)})
        try:
            while True:
                async with asyncio.timeout(self._service.limits.timeout_s):
                    message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                await self._answer(message)
        except TimeoutError:
            raise Closed(f"nothing came for {self._service.limits.timeout_s:g} s") from None
        finally:
            self._queued.cancel()

    async def _answer(self, message: Mapping[str, Any]) -> None:
        """Do what a message asks; a mistake is answered, and the session goes on."""
        event: Mapping[str, Any] = {}
        try:
            event = _parsed(message.get("text"))
            handlers: dict[str, _Handler] = {
                "session.update": self._update, "input_audio_buffer.append": self._append,
                "input_audio_buffer.commit": self._commit, "input_audio_buffer.clear": self._clear,
            }  # fmt: skip
            await _handler(event, handlers)(event)
        except (Closed, Canceled, WebSocketDisconnect):
            raise
        except Exception as error:
            id_ = event.get("event_id")
            await self._send_error(api_error(error), id_ if isinstance(id_, str) else None)

    async def _update(self, event: Mapping[str, Any]) -> None:
        before = self._settings
        self._settings = before.updated(event.get("session"))
        if self._settings != before:
            try:
                stream, turns, fed_s = self._stream, self._turns, self._fed_s
                self._open(turns.previous)
            except ApiError:
                self._settings = before
                raise
            if fed_s:
                await self._finished(stream, turns, fed_s)
                self._turns.previous = turns.previous
        await self._send({"type": "session.updated", "session": self._settings.to_dict(self._id)})

    async def _append(self, event: Mapping[str, Any]) -> None:
        samples = _samples(event.get("audio"))
        self._num_samples += len(samples)
        if self._num_samples > self._service.limits.duration_s * RATE:
            raise Closed(f"a session has at most {self._service.limits.duration_s:g} s of sound; open another")
        self._queued.restart()
        stream = self._stream
        results = await self._recognized(lambda: stream.feed(samples), self._turns)
        await self._send_all(self._turns.events(results))

    async def _commit(self, event: Mapping[str, Any]) -> None:
        if not self._fed_s:
            raise ApiError(400, "the buffer is empty; append sound before it is committed", code="input_audio_buffer_commit_empty")  # fmt: skip  # noqa: E501
        turns = self._turns
        results = await self._finished(self._stream, turns, self._fed_s)
        if turns.by_voice and not results:
            await self._send_all(turns.complete(self._fed_s))
        self._open(turns.previous)

    async def _clear(self, event: Mapping[str, Any]) -> None:
        self._open(self._turns.previous)
        await self._send({"type": "input_audio_buffer.cleared"})

    async def _finished(self, stream: Stream, turns: Turns, seconds: float) -> list[StreamResult]:
        """Send what a stream ends with; where the client says when a turn ends, it does now."""
        self._queued.restart()
        results = await self._recognized(stream.finish, turns)
        await self._send_all(turns.events(results))
        if not turns.by_voice:
            await self._send_all(turns.complete(seconds))
        return results

    async def _recognized(self, feed: Callable[[], list[StreamResult]], turns: Turns) -> list[StreamResult]:
        try:
            return await self._service.call(feed)
        except (ApiError, Canceled):
            raise
        except Exception as error:
            await self._send_all(turns.failed(api_error(error).body))
            self._open(turns.previous)
            return []

    async def _send_all(self, events: Iterable[dict[str, Any]]) -> None:
        for event in events:
            await self._send(event)

    async def _send(self, event: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps({"event_id": new_id("event"), **event}, ensure_ascii=False))

    async def _send_error(self, error: ApiError, event_id: str | None) -> None:
        await self._send({"type": "error", "error": {**error.body["error"], "event_id": event_id}})


async def converse(socket: WebSocket, service: Service) -> None:
    """Accept a client, and answer it until either ends the session."""
    offered = [one.strip() for one in socket.headers.get("sec-websocket-protocol", "").split(",")]
    chosen = next((one for one in offered if one and not one.startswith(TOKEN_PROTOCOL)), None)
    await socket.accept(subprotocol=chosen)
    with contextlib.suppress(WebSocketDisconnect, Canceled, RuntimeError):
        try:
            with service.place():
                await Session(socket, service, _start(socket.query_params, service)).run()
        except (ApiError, Closed) as error:
            refused = error if isinstance(error, ApiError) else ApiError(400, str(error), code="session_expired")
            await socket.send_json({"type": "error", "event_id": new_id("event"), "error": refused.body["error"]})
            await socket.close(1008 if refused.status != 429 else 1013, str(refused)[:100])


def _start(query: Mapping[str, str], service: Service) -> Settings:
    """The settings that an address asks for."""
    if query.get("intent", "transcription") != "transcription":
        raise ApiError(400, f"intent: is {printable(query['intent'])!r:.60}; this server has transcription sessions only", param="intent", code="unsupported_value")  # fmt: skip  # noqa: E501
    return START.updated({"audio": {"input": {"transcription": {"model": service.find(query.get("model")).name}}}})


def _parsed(text: str | None) -> Mapping[str, Any]:
    try:
        event = json.loads(text or "")
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"the message is no JSON ({error!s:.80}); wanted text with one event", code="invalid_json") from None  # fmt: skip  # noqa: E501
    if not isinstance(event, dict):
        raise ApiError(400, "the message is no object; wanted one event", code="invalid_json")
    return event


def _handler(event: Mapping[str, Any], handlers: Mapping[str, _Handler]) -> _Handler:
    """What answers events of such a type."""
    kind = event.get("type")
    if not isinstance(kind, str) or kind not in handlers:
        raise ApiError(400, f"type: is {kind!r:.60}; wanted one of {', '.join(handlers)}", param="type", code="unknown_event")  # fmt: skip  # noqa: E501
    return handlers[kind]


def _samples(audio: Any) -> np.ndarray:
    """Samples of 16 bits in base64."""
    try:
        data = base64.b64decode(audio, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ApiError(400, "audio: is no base64; wanted samples of 16 bits in base64", param="audio", code="invalid_value") from None  # fmt: skip  # noqa: E501
    if len(data) % 2:
        raise ApiError(400, f"audio: has {len(data)} bytes; samples of 16 bits have two each", param="audio", code="invalid_value")  # fmt: skip  # noqa: E501
    return np.frombuffer(data, dtype="<i2")
