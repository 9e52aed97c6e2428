"""A telephone that is dialed by voice: an exported model, 16-bit samples at 16 kHz from the standard input, actions.

arecord -q -t raw -f S16_LE -r 16000 | python -m recipes.voice_commands.app exported/digits
ffmpeg -v error -i spoken.wav -f s16le -ac 1 -ar 16000 - | python -m recipes.voice_commands.app exported/digits
"""

from __future__ import annotations

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


def words(model: sx.Predictor, sound: Iterable[np.ndarray], *, least: float) -> Iterator[str]:
    """Words of which the model is certain, each as soon as the pause after it shows that it has ended."""
    for result in model.stream(sound, sample_rate=RATE):
        if result.final:
            yield from (word.text for word in result.words if (word.confidence or 0.0) >= least)


def dial(spoken: Iterable[str], call: Callable[[str], None], *, length: int) -> None:
    """Call each number when all of its digits were spoken; what is no digit is left out."""
    number = ""
    for word in spoken:
        number += DIGITS.get(word, "")
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
    spoken = words(sx.load(model), chunks(sys.stdin.buffer), least=least)
    dial(spoken, lambda number: click.echo(f"Calling {number} ..."), length=length)


if __name__ == "__main__":
    main()
