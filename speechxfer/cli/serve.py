"""`speechxfer serve`: models behind an HTTP interface, and a page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from speechxfer.cli import Command
from speechxfer.cli.paths import MODEL, PATH
from speechxfer.errors import ConfigError
from speechxfer.extras import EXTRAS, need
from speechxfer.inference.voice_activity import CHOICES

if TYPE_CHECKING:
    from speechxfer.predictor import Predictor

_TOKEN = "SPEECHXFER_TOKEN"


@click.command(cls=Command)
@click.argument("models", metavar="MODEL...", type=MODEL, nargs=-1, required=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at; others than this machine's own need a token.")  # fmt: skip  # noqa: E501
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--token-file", type=PATH, help=f"File with the token that clients must give (or {_TOKEN}).")
@click.option("--vad", type=click.Choice(CHOICES), default="auto", show_default=True, help="How speech is found, as in transcribe.")  # fmt: skip  # noqa: E501
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--language", metavar="LL", help="Language to open the models in, for those that need one.")
@click.option("--places", type=click.IntRange(1), default=128, show_default=True, help="Requests at a time; more are answered 429.")  # fmt: skip  # noqa: E501
@click.option("--upload-mb", type=click.FloatRange(0, min_open=True), default=100.0, show_default=True, help="Largest upload, in megabytes.")  # fmt: skip  # noqa: E501
@click.option("--duration-s", type=click.FloatRange(0, min_open=True), default=14_400.0, show_default=True, help="Longest recording or session, in seconds.")  # fmt: skip  # noqa: E501
@click.option("--timeout-s", type=click.FloatRange(0, min_open=True), default=600.0, show_default=True, help="Longest time of a transcription, in seconds.")  # fmt: skip  # noqa: E501
def serve(
    *,
    models: tuple[str, ...],
    host: str,
    port: int,
    token_file: Path | None,
    vad: str,
    device: str,
    language: str | None,
    places: int,
    upload_mb: float,
    duration_s: float,
    timeout_s: float,
) -> None:
    """Serve MODELs to clients of OpenAI's transcription interface, and to people by a page.

    MODEL is a model's folder or the name of a checkpoint; clients know it by the folder's name, or as NAME=MODEL
    says. The page is at http://127.0.0.1:8000/.
    """
    for module in EXTRAS["serve"]:
        need(module, "the server")
    from speechxfer.server.limits import Limits
    from speechxfer.server.running import check_reach, model_names
    from speechxfer.server.running import serve as run

    token = _token(token_file)
    check_reach(host, token)
    names = model_names(models)
    run(
        {name: _load(model, device, language) for name, model in names.items()},
        host=host, port=port, token=token, limits=Limits(places, upload_mb, duration_s, timeout_s), vad=vad,
        started=lambda address: click.echo(f"Serving {', '.join(names)} at {address} (Ctrl-C stops)", err=True),
    )  # fmt: skip


def _token(path: Path | None) -> str | None:
    """The token in the file or the environment, if there is one.

    Raises:
        ConfigError: it cannot be read, or is empty.
    """
    if path is None:
        return os.environ.get(_TOKEN) or None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {path}: cannot be read ({error}); wanted a text file with the token") from None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"--token-file {path}: wanted one line of printable ASCII without spaces")
    return token


def _load(name: str, device: str, language: str | None) -> Predictor:
    from speechxfer.api.loading import load

    return load(name, device=device, language=language)
