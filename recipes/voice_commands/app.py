"""A telephone that is dialed by voice, digit by digit: sound from the standard input, 16 bits at 16 kHz.

arecord -q -t raw -f S16_LE -r 16000 | python -m recipes.voice_commands.app exported/digits
ffmpeg -v error -i spoken.wav -f s16le -ac 1 -ar 16000 - | python -m recipes.voice_commands.app exported/digits
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

import click
import numpy as np

import speechxfer as sx

RATE = 16_000
DIGITS = {
    word: str(value)
    for value, word in enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
}


def chunks(source: BinaryIO, seconds: float = 0.1) -> Iterator[np.ndarray]:
    """The samples of a pipe as they come."""
    while data := source.read(2 * int(seconds * RATE)):
        yield np.frombuffer(data[: len(data) // 2 * 2], "<i2")


def commands(model: sx.Predictor, sound: Iterable[np.ndarray], *, least: float) -> Iterator[str]:
    """What is said between two pauses, as soon as the second shows that it has ended, if the model is certain."""
    for result in model.stream(sound, sample_rate=RATE, partials=False):
        if result.final and (result.confidence or 0.0) >= least:
            yield result.text


def dial(spoken: Iterable[str], call: Callable[[str], None], *, length: int) -> None:
    """Call each number when all of its digits were spoken; what is spelled like none of them is left out."""
    number = ""
    for command in spoken:
        number += "".join(DIGITS[word] for word in difflib.get_close_matches(command, DIGITS, 1))
        if len(number) == length:
            call(number)
            number = ""


@click.command(cls=sx.Command)
@click.argument("model")
@click.option("--length", type=click.IntRange(1), default=4, show_default=True, help="Digits of a number.")
@click.option(
    "--least", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Confidence of words that count."
)
def main(model: str, length: int, least: float) -> None:
    """Dial numbers that are spoken into the standard input."""
    spoken = commands(sx.load(model), chunks(sys.stdin.buffer), least=least)
    dial(spoken, lambda number: click.echo(f"Calling {number} ..."), length=length)


if __name__ == "__main__":
    main()
