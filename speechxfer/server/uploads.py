"""Forms with a file, read with a limit: into memory, and from 1 MB on into a temporary file."""

from __future__ import annotations

import asyncio
import time
from typing import BinaryIO

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from speechxfer.errors import printable
from speechxfer.server.errors import ApiError
from speechxfer.server.limits import Limits
from speechxfer.server.queueing import Canceled
from speechxfer.sources import AudioSource

#: Fields of a form, of which only a list of keywords is long; bytes of each.
_MOST_FIELDS, _LARGEST_FIELD = 1000, 1 << 20
#: Seconds in which the rest of a refused upload is read, since most clients read no answer before they have sent all.
_DRAIN_S = 5.0


class Upload(AudioSource):
    """The recording that a client has sent."""

    __slots__ = ("_file", "_name")

    def __init__(self, upload: UploadFile) -> None:
        self._file = upload.file
        self._name = printable(upload.filename or "")[:100] or "<upload>"

    @property
    def name(self) -> str:
        """As the client calls it."""
        return self._name

    def contents(self) -> BinaryIO:
        """The file, from its beginning."""
        self._file.seek(0)
        return self._file


async def read_form(request: Request, limits: Limits) -> FormData:
    """The form of a request; the caller closes it.

    Raises:
        ApiError: it is no form, too large, or comes too slowly.
        Canceled: the client has left.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise ApiError(415, "the request is no form; wanted multipart/form-data with a file", code="unsupported_media_type")  # fmt: skip  # noqa: E501
    body = _Body(request, limits)
    try:
        return await body.request.form(max_files=1, max_fields=_MOST_FIELDS, max_part_size=_LARGEST_FIELD)
    except ApiError as error:
        if error.status != 408:
            await body.drain()
        raise
    except ClientDisconnect:
        raise Canceled from None
    except (HTTPException, MultiPartException, ValueError, KeyError) as error:
        await body.drain()
        reason = getattr(error, "detail", None) or getattr(error, "message", None) or str(error)
        raise ApiError(400, f"the form cannot be read: {reason}", code="invalid_form") from error


async def drain(request: Request, limits: Limits) -> None:
    """Read what a client still sends, so that it reads the answer."""
    await _Body(request, limits).drain()


class _Body:
    """The body of a request, which is counted while it is read."""

    def __init__(self, request: Request, limits: Limits) -> None:
        self._receive, self._limits = request.receive, limits
        self._size, self._ended = 0, False
        self._until = time.monotonic() + limits.timeout_s
        self.request = Request(request.scope, self._next)

    async def _next(self) -> Message:
        left_s = min(self._limits.stall_s, self._until - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(left_s, 0))
        except TimeoutError:
            raise ApiError(408, "the upload stalled; send it again", code="upload_timeout") from None
        self._ended = not message.get("more_body", False)
        self._size += len(message.get("body", b""))
        if self._size > self._limits.upload_bytes:
            raise ApiError(413, f"the upload is larger than {self._limits.upload_mb:g} MB; send a compressed format such as flac or opus, or a part", param="file", code="upload_too_large")  # fmt: skip  # noqa: E501
        return message

    async def drain(self) -> None:
        """Read and drop the rest, up to another upload's size."""
        read = 0
        try:
            async with asyncio.timeout(_DRAIN_S):
                while not self._ended and read <= self._limits.upload_bytes:
                    message = await self._receive()
                    read += len(message.get("body", b""))
                    self._ended = not message.get("more_body", False)
        except TimeoutError:
            pass
