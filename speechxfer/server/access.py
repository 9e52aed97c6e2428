"""Who may use the server: clients with its token, and pages that came from it."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from speechxfer.server.errors import ApiError

#: Browsers cannot set headers of a WebSocket; so OpenAI's client gives the token as a subprotocol.
TOKEN_PROTOCOL = "openai-insecure-api-key."
#: What needs no token: the page, which asks for it, and what says that the server runs.
_OPEN = ("/", "/healthz", "/openapi.json", "/page/")


class Access:
    """Answers 401 where the token is missing or wrong, and 403 to pages of other servers.

    Args:
        app: what is protected.
        token: that clients must give; None admits all.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is allowed."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            if error := self._error(scope["path"], headers):
                await _refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _error(self, path: str, headers: Headers) -> ApiError | None:
        origin = headers.get("origin")
        if origin is not None and _address(origin) != headers.get("host", ""):
            return ApiError(403, "the page that sent this came from another server; only this server's own page may", code="wrong_origin")  # fmt: skip  # noqa: E501
        if self._token is None or path in _OPEN or path.startswith("/page/"):
            return None
        given = _token(headers)
        if given is None:
            return ApiError(401, "a token is wanted: Authorization: Bearer TOKEN (the api_key of OpenAI's client)", code="missing_api_key")  # fmt: skip  # noqa: E501
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return ApiError(401, "the token is wrong; ask whoever runs this server", code="invalid_api_key")
        return None


def _address(origin: str) -> str:
    """Host and port of an origin; empty where it has none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _token(headers: Mapping[str, str]) -> str | None:
    """The token that a client gives."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    for protocol in headers.get("sec-websocket-protocol", "").split(","):
        if protocol.strip().startswith(TOKEN_PROTOCOL):
            return protocol.strip().removeprefix(TOKEN_PROTOCOL)
    return None


async def _refuse(error: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
        await error.response(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": str(error)[:120]})
