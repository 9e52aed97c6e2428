"""`speechxfer listen`: text while sound comes in."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

import click
from rich.cells import cell_len

from speechxfer.audio.incoming import ENCODINGS, Incoming, Raw, microphone, piped
from speechxfer.cli import streams
from speechxfer.cli.decoding_options import decoding_options
from speechxfer.cli.grouping import GroupedCommand
from speechxfer.cli.paths import MODEL
from speechxfer.inference.streaming import PAUSE_S
from speechxfer.inference.voice_activity import CHOICES

if TYPE_CHECKING:
    from speechxfer.decoding.options import DecodingOptions
    from speechxfer.inference.streaming import StreamResult

#: How the options are listed in the help.
_GROUPS = {
    "Most used": ("format_", "partials", "pause_s", "language", "device"),
    "Sound": ("microphone_name", "raw", "sample_rate", "channels", "audio_channel", "vad"),
    "Decoding": ("task", "beams", "prompt", "hotwords"),
}

_STANDARD_INPUT = 0


@click.command(cls=GroupedCommand, groups=_GROUPS)
@click.argument("model_name", metavar="MODEL", type=MODEL)
@click.argument("source", metavar="[-]", required=False)
@click.option("--format", "format_", type=click.Choice(["text", "jsonl"], case_sensitive=False), default="text", show_default=True, help="One line a segment: its text, or a JSON object with times and words.")  # fmt: skip  # noqa: E501
@click.option("--partials/--no-partials", default=None, help="Also results that may still change (default: for text on a terminal).")  # fmt: skip  # noqa: E501
@click.option("--microphone", "microphone_name", metavar="NAME", help="Number or part of the name of a microphone; python -m sounddevice lists them (default: the system's).")  # fmt: skip  # noqa: E501
@click.option("--raw", type=click.Choice(list(ENCODINGS)), help="Encoding of samples without a header, as in ffmpeg's -f.")  # fmt: skip  # noqa: E501
@click.option("--sample-rate", type=click.IntRange(min=1), metavar="HZ", help="Of samples without a header.")
@click.option("--channels", type=click.IntRange(min=1), help="Of samples without a header (default: 1).")
@click.option("--audio-channel", type=click.IntRange(min=0), metavar="N", help="Only this channel, counted from 0; all are mixed without it.")  # fmt: skip  # noqa: E501
@click.option("--vad", type=click.Choice(CHOICES), default="auto", show_default=True, help="How speech is found, and so its end: by silero, a network (auto), or by its energy; none leaves out silence alone.")  # fmt: skip  # noqa: E501
@click.option("--pause", "pause_s", type=click.FloatRange(min=0.1), metavar="SECONDS", default=PAUSE_S, show_default=True, help="Without speech, after which a line is final.")  # fmt: skip  # noqa: E501
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@decoding_options
def listen(
    *,
    model_name: str,
    source: str | None,
    format_: str,
    partials: bool | None,
    microphone_name: str | None,
    raw: str | None,
    sample_rate: int | None,
    channels: int | None,
    audio_channel: int | None,
    vad: str,
    pause_s: float,
    device: str,
    decoding: DecodingOptions,
) -> None:
    """Transcribe sound while it comes in: from the microphone, or with - from the standard input.

    MODEL is a model's folder or the name of a checkpoint. The standard input is a WAV stream, such as
    `ffmpeg -i ADDRESS -f wav - | speechxfer listen MODEL -`, or samples without a header (--raw). A line that
    was ended is final; on a terminal, the last line shows what is likely to come next. Ctrl-C ends it.
    """
    header = _raw(raw, sample_rate, channels)
    _check(source, microphone_name, header)
    on_terminal = _is_terminal()
    with_partials = (on_terminal and format_ == "text") if partials is None else partials
    if with_partials and format_ == "text" and not on_terminal:
        raise click.UsageError("--partials rewrites a line of a terminal; add --format jsonl.")
    from speechxfer.api.loading import load

    model = load(model_name, device=device, language=decoding.language)
    with _sound(source, microphone_name, header) as sound, _ended_by_ctrl_c(sound):
        stream = model.open_stream(
            sound.sample_rate,
            channel=audio_channel,
            options=decoding,
            vad=vad,
            pause_s=pause_s,
            partials=with_partials,
        )
        with _shown(format_, on_terminal=on_terminal) as show:
            for result in stream.results(sound):
                show(result)


def _is_terminal() -> bool:
    """Whether a line of the output can be written again."""
    return sys.stdout is not None and sys.stdout.isatty()


def _raw(encoding: str | None, sample_rate: int | None, channels: int | None) -> Raw | None:
    """What is known of samples without a header."""
    if encoding is None:
        if sample_rate or channels:
            raise click.UsageError("--sample-rate and --channels are for samples without a header; add --raw.")
        return None
    if sample_rate is None:
        raise click.UsageError("samples without a header have no rate; add --sample-rate, in Hz.")
    return Raw(encoding, sample_rate, channels or 1)


def _check(source: str | None, microphone_name: str | None, header: Raw | None) -> None:
    if source not in (None, "-"):
        raise click.UsageError(f"{source!r} is neither - nor left out; recordings are for speechxfer transcribe.")
    if source and microphone_name:
        raise click.UsageError("--microphone or -, which is the standard input, not both.")
    if header and not source:
        raise click.UsageError("--raw is about the standard input; add - after the model.")


def _sound(
    source: str | None, microphone_name: str | None, header: Raw | None
) -> contextlib.AbstractContextManager[Incoming]:
    if source:
        if sys.stdin is None:
            raise click.UsageError("the standard input is closed; pipe sound into it, or leave out -.")
        return contextlib.nullcontext(piped(_STANDARD_INPUT, header))
    return microphone(microphone_name)


@contextlib.contextmanager
def _ended_by_ctrl_c(sound: Incoming) -> Iterator[None]:
    """End the sound with the first Ctrl-C, so that what was said before is still transcribed; a second interrupts."""

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sound.end()

    before = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread() and before is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _shown(format_: str, *, on_terminal: bool) -> Iterator[Callable[[StreamResult], None]]:
    """Prints a result; a partial one in the place of the partial one before it."""
    if format_ == "jsonl":
        yield lambda result: streams.write(json.dumps(result.to_dict(), ensure_ascii=False) + "\n")
        return
    cleared = "\r\x1b[K" if on_terminal else ""
    try:
        yield lambda result: streams.write(cleared + (f"{result.text}\n" if result.final else _end_of(result.text)))
    finally:
        if on_terminal:
            streams.write(cleared)


def _end_of(text: str) -> str:
    """As much of a text as fits on one line of the terminal."""
    room = shutil.get_terminal_size().columns - 1
    if cell_len(text) <= room:
        return text
    while cell_len(text) > room - 1:
        text = text[1:]
    return f"…{text}"
