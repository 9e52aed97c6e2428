"""A recording and lines of text to an alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from speechxfer.alignment.aligning import alignment
from speechxfer.alignment.emissions import Emissions, fill
from speechxfer.alignment.paths import Prices, find_path
from speechxfer.alignment.result import Alignment
from speechxfer.alignment.script import Line, Script
from speechxfer.audio import AudioInfo, Options, Source, blocks, info
from speechxfer.errors import AudioError, ConfigError, DataError
from speechxfer.model import SpeechModel
from speechxfer.progress import Progress

_MOST_SHOWN = 20


def align_recording(
    model: SpeechModel, source: Source, lines: Sequence[Line], *, text_name: str, characters: bool = False,
    prices: Prices | None = None, progress: Progress | None = None, **reading: Unpack[Options],
) -> Alignment:  # fmt: skip
    """Align the words of lines with a recording.

    Args:
        model: with a CTC head.
        source: the recording.
        lines: what is said in it, more or less.
        text_name: what messages call the text.
        characters: whether the times of characters are wanted.
        prices: of differences.
        progress: receives what goes on.
        reading: how the recording is read.

    Raises:
        AudioError: the recording cannot be read.
        ConfigError: the model has no CTC head.
        DataError: the text has no word, or none that the model can spell.
    """
    progress, prices = progress or Progress(), prices or Prices()
    script = _script(model, lines, text_name, progress)
    written = model.head.written
    symbols = {symbol for word in script.symbols for symbol in word}
    symbols |= {number for number, text in enumerate(written) if not text.strip()}
    with Emissions(sorted(symbols), 1.0 / model.encoder.output_frame_rate) as emissions:
        with progress.task("emissions", _length_s(source, reading)) as advance:
            fill(emissions, model, blocks(source, **reading), advance)
        with progress.task("alignment", len(emissions)) as advance:
            path = find_path(emissions, script, written, prices, advance)
        return alignment(emissions, script, path, written, prices, characters=characters)


def _script(model: SpeechModel, lines: Sequence[Line], name: str, progress: Progress) -> Script:
    if not model.head.is_frame_synchronous:
        raise ConfigError(
            f"the model has a {model.head.kind} head, which does not align; wanted a model with a CTC head"
        )
    script = Script(lines, model.head)
    if not len(script):
        raise DataError(f"{name}: has no word; wanted what is said in the recording")
    if script.missing:
        character, word = next(iter(script.missing.items()))
        listed = "".join(list(script.missing)[:_MOST_SHOWN])
        message = f"{name}: the model lacks {len(script.missing)} of its characters ({listed!r}), such as {character!r} in {word!r}"  # fmt: skip  # noqa: E501
        if not any(script.symbols):
            raise DataError(f"{message}, and has none of the others; take a model of its language, or write the text as the model does")  # fmt: skip  # noqa: E501
        progress.warn(f"{message}; words are aligned without them, and a word of nothing else with any sound")
    return script


def _length_s(source: Source, reading: Options) -> float:
    """For the bar; what is wrong with the recording is reported when it is read."""
    try:
        found: AudioInfo = info(source, stream=reading.get("stream"))
    except AudioError:
        return 0.0
    return found.duration
