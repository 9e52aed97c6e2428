"""Options of commands that read recordings: what of a file is read, and how much it may lack."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from speechxfer.errors import printable

if TYPE_CHECKING:
    from speechxfer.audio import Options

_COUNTED = click.IntRange(min=0)


def audio_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --audio-stream, --audio-channel and --strict, which the command is given as `reading`."""

    @click.option("--audio-stream", type=_COUNTED, metavar="N", help="Which of several audio streams, counted from 0 as in ffmpeg's 0:a:N.")  # fmt: skip  # noqa: E501
    @click.option("--audio-channel", type=_COUNTED, metavar="N", help="Only this channel, counted from 0; all are mixed without it.")  # fmt: skip  # noqa: E501
    @click.option("--strict", is_flag=True, help="Refuse a file that is a little shorter than it should be, rather than warn and use it.")  # fmt: skip  # noqa: E501
    @functools.wraps(command)
    def called(*, audio_stream: int | None, audio_channel: int | None, strict: bool, **others: Any) -> Any:
        reading: Options = {"stream": audio_stream, "channel": audio_channel, "strict": strict}
        reading["notify"] = lambda notice: click.echo(f"Warning: {printable(str(notice))}", err=True)
        return command(reading=reading, **others)

    return called
