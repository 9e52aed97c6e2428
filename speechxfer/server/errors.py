"""Errors as OpenAI's client expects them: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from speechxfer.errors import AudioError, SpeechxferError

_log = logging.getLogger("speechxfer.server")


class ApiError(Exception):
    """A request that is refused.

    Args:
        status: of HTTP.
        message: for the person who reads it: what was found, what is wanted.
        param: the field that is wrong, if one is.
        code: the kind of mistake in one word, for programs.
        retry_after_s: when another try may succeed.
    """

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.param, self.code, self.retry_after_s = status, param, code, retry_after_s

    @property
    def body(self) -> dict[str, Any]:
        """The object that OpenAI's client reads."""
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}

    @property
    def response(self) -> JSONResponse:
        """The response."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body, self.status, headers)


def api_error(error: BaseException) -> ApiError:
    """What a client is answered where something was raised."""
    match error:
        case ApiError():
            return error
        case AudioError():
            return ApiError(400, str(error), param="file", code="invalid_audio")
        case SpeechxferError():
            return ApiError(400, str(error), code="invalid_value")
        case HTTPException():
            return ApiError(
                error.status_code, f"{error.detail}", code="not_found" if error.status_code == 404 else None
            )
        case TimeoutError():
            return ApiError(503, "the transcript took longer than this server allows; try again later, or send less audio", code="timeout", retry_after_s=30)  # fmt: skip  # noqa: E501
    _log.error("a request failed", exc_info=error)
    return ApiError(500, "the server failed; its log has the reason", code="internal_error")


def handle_errors(app: FastAPI) -> None:
    """Answer all that is raised in OpenAI's shape."""

    async def respond(_request: Request, error: Exception) -> JSONResponse:
        response = api_error(error).response
        if isinstance(error, HTTPException) and error.headers:
            response.headers.update(error.headers)
        return response

    for kind in (ApiError, SpeechxferError, HTTPException, TimeoutError, Exception):
        app.add_exception_handler(kind, respond)
