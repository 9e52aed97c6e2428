"""The application: its routes, and what a request goes through."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import StreamingResponse
from starlette.datastructures import FormData, UploadFile
from starlette.types import Receive, Scope, Send

from speechxfer.inference import Event, Segment, Transcript
from speechxfer.inference.transcript import text_of
from speechxfer.predictor import Predictor
from speechxfer.server import fields, responses
from speechxfer.server.access import Access
from speechxfer.server.errors import ApiError, api_error, handle_errors
from speechxfer.server.fields import Asked
from speechxfer.server.limits import Limits
from speechxfer.server.pages import add_page
from speechxfer.server.queueing import Canceled
from speechxfer.server.realtime.session import converse
from speechxfer.server.schema import METRICS, MODELS, TRANSCRIPTIONS
from speechxfer.server.service import Service, warm_up
from speechxfer.server.uploads import Upload, drain, read_form

_T = TypeVar("_T")


def create_app(
    models: Mapping[str, Predictor], *, limits: Limits | None = None, token: str | None = None, vad: str = "auto"
) -> FastAPI:
    """The server as an ASGI application.

    Args:
        models: by the names that clients know.
        limits: of requests.
        token: that clients must give; None admits all.
        vad: how speech is found, as in `Predictor.transcribe`.

    Raises:
        ConfigError: no model, one that writes no text or lacks a package, or another `vad`.
    """
    service = Service(models, limits or Limits(), vad)
    for model in models.values():
        warm_up(model)  # once more with the server's threads, where a missing package would give a traceback

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        for served in service.models:
            await service.call(warm_up, served.model)
        yield
        service.close()

    app = FastAPI(title="speechxfer", version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.service = service
    handle_errors(app)
    app.add_middleware(Access, token=token)
    _add_routes(app, service)
    add_page(app)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post("/v1/audio/transcriptions", **TRANSCRIPTIONS)
    async def transcriptions(request: Request) -> Response:
        with service.metrics.request_seconds.time():
            response = await _transcribe(request, service)
        service.metrics.requests.labels(response.status_code).inc()
        return response

    @app.websocket("/v1/realtime")
    async def realtime(socket: WebSocket) -> None:
        await converse(socket, service)

    @app.get("/v1/models", **MODELS)
    async def list_models() -> dict[str, Any]:
        return {"object": "list", "data": [served.to_dict() for served in service.models]}

    @app.get("/v1/models/{model}", **MODELS)
    async def one_model(model: str) -> dict[str, Any]:
        return service.find(model).to_dict()

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics", **METRICS)
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=service.metrics.content_type)


async def _transcribe(request: Request, service: Service) -> Response:
    """The response to a transcription request, whatever is raised."""
    try:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(service.place())
            except ApiError:
                await drain(request, service.limits)
                raise
            form = await read_form(request, service.limits)
            stack.callback(_close, form)
            return await _transcribed(request, form, service, stack)
    except Canceled:
        return service.stopped.response if service.is_stopped else Response(status_code=499)
    except Exception as error:
        return api_error(error).response


async def _transcribed(request: Request, form: FormData, service: Service, stack: contextlib.ExitStack) -> Response:
    """The response to a form; a stream of events closes the stack itself."""
    upload, items = form.get("file"), [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    if not isinstance(upload, UploadFile) or len(form) > len(items) + 1:
        raise ApiError(400, "file: is missing; wanted a recording as the field file", param="file", code="missing_required_parameter")  # fmt: skip  # noqa: E501
    asked = fields.read(items)
    model = service.find(asked.model)
    fields.checked(model.model, asked.options)
    events = service.events(Upload(upload), model, asked)
    if asked.streamed:
        first = await _unless_gone(request, anext(events))
        return _EventStream(_segments(first, events), asked, stack.pop_all(), service.limits.timeout_s)
    transcript = await _unless_gone(request, _collected(events))
    return responses.response(transcript, asked, model.model.language)


def _close(form: FormData) -> None:
    for _, value in form.multi_items():
        if isinstance(value, UploadFile):
            value.file.close()


class _EventStream(StreamingResponse):
    """Segments as events; it ends when the client leaves, or has not read them for too long."""

    def __init__(
        self, segments: AsyncGenerator[Segment], asked: Asked, stack: contextlib.ExitStack, timeout_s: float
    ) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        events = responses.server_sent_events(segments, asked)
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._segments, self._stack, self._timeout_s = segments, stack, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, and free the place."""
        with self._stack, contextlib.suppress(TimeoutError):
            try:
                async with asyncio.timeout(self._timeout_s):
                    await super().__call__(scope, receive, send)
            finally:
                await self._segments.aclose()


async def _segments(first: Event, events: AsyncGenerator[Event]) -> AsyncGenerator[Segment]:
    async with contextlib.aclosing(events):
        event: Event | None = first
        while event is not None:
            if isinstance(event, Segment):
                yield event
            event = await anext(events, None)


async def _collected(events: AsyncGenerator[Event]) -> Transcript:
    segments: list[Segment] = []
    duration = 0.0
    async with contextlib.aclosing(events):
        async for event in events:
            if isinstance(event, Segment):
                segments.append(event)
            elif isinstance(event, float):
                duration = event
    return Transcript(text_of(segments), tuple(segments), duration)


async def _unless_gone(request: Request, work: Awaitable[_T]) -> _T:
    """What work returns.

    Raises:
        Canceled: the client has left, and the work was canceled.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Canceled
        return working.result()
    finally:
        leaving.cancel()
        working.cancel()
        # A thread may still read the file, which the caller closes.
        await asyncio.wait([working])


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
