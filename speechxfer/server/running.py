"""Runs the application until it is stopped."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.middleware.trustedhost import TrustedHostMiddleware

from speechxfer.errors import ConfigError
from speechxfer.predictor import Predictor
from speechxfer.server.app import create_app
from speechxfer.server.limits import Limits
from speechxfer.server.service import Service

#: What browsers call this machine.
_LOOPBACK = ("127.0.0.1", "[::1]", "localhost")
#: Bytes of one message of a Realtime session.
_LARGEST_MESSAGE = 4 << 20
#: Seconds that requests may take when the server is stopped, and after which nothing more is waited for.
_GRACE_S, _LAST_S = 20, 30


def model_names(names: Sequence[str]) -> dict[str, str]:
    """Under which name each model is served: NAME=MODEL, or the last part of its path that names it.

    Raises:
        ConfigError: two have one name.
    """
    found: dict[str, str] = {}
    for given in names:
        name, equals, model = given.partition("=")
        if not equals:
            name, model = _own_name(given), given
        if not name or not model:
            raise ConfigError(f"{given!r} is no model; wanted MODEL or NAME=MODEL")
        if name in found:
            raise ConfigError(f"{found[name]} and {model} would both be served as {name!r}; name one of them: NAME={model}")  # fmt: skip  # noqa: E501
        found[name] = model
    return found


def _own_name(model: str) -> str:
    """The folder's name; that of a run where it is the run's `model`."""
    parts = [part for part in Path(model).expanduser().parts if part not in ("model", ".", "..", "/")]
    return parts[-1] if parts else "model"


def check_reach(host: str, token: str | None) -> None:
    """Check that nobody but users of this machine can use the server without a token.

    Raises:
        ConfigError: others could.
    """
    if token is None and not _is_loopback(host):
        raise ConfigError(f"host is {host}, from which others reach the server, and there is no token; give one with --token-file or SPEECHXFER_TOKEN, or stay on 127.0.0.1")  # fmt: skip  # noqa: E501


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def serve(
    models: Mapping[str, Predictor],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    limits: Limits | None = None,
    vad: str = "auto",
    started: Callable[[str], None] = lambda _address: None,
) -> None:
    """Serve models until the process is interrupted; requests in progress are finished.

    Args:
        models: by the names that clients know.
        host: where to listen.
        port: 0 takes a free one.
        token: that clients must give.
        limits: of requests.
        vad: how speech is found, as in `Predictor.transcribe`.
        started: called with the server's address when it listens.

    Raises:
        ConfigError: others could use the server without a token.
    """
    check_reach(host, token)
    app = create_app(models, limits=limits, token=token, vad=vad)
    if token is None:
        # Else a page could have its own name resolved to this machine, and would pass for the server's page.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[host, *_LOOPBACK], www_redirect=False)
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", access_log=False, server_header=False,
        ws_max_size=_LARGEST_MESSAGE, ws_max_queue=2, timeout_graceful_shutdown=_LAST_S, lifespan="on",
    )  # fmt: skip
    _Server(config, started, app.state.service).run()


class _Server(uvicorn.Server):
    """Reports its address when it listens, and answers all requests before it ends."""

    def __init__(self, config: uvicorn.Config, started: Callable[[str], None], service: Service) -> None:
        super().__init__(config)
        self._started, self._service = started, service

    async def startup(self, *arguments: Any, **options: Any) -> None:
        """Listen."""
        await super().startup(*arguments, **options)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._started(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    async def shutdown(self, *arguments: Any, **options: Any) -> None:
        """Finish requests, as far as they take no longer than a while."""
        stopping = asyncio.get_running_loop().call_later(_GRACE_S, self._service.stop)
        await super().shutdown(*arguments, **options)
        stopping.cancel()
