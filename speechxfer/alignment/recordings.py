"""A recording and lines of text to an alignment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from speechxfer.alignment.aligning import alignment
from speechxfer.alignment.emissions import Emissions, fill
from speechxfer.alignment.paths import Prices, find_path
from speechxfer.alignment.result import Alignment
from speechxfer.alignment.script import Line, Script
from speechxfer.audio import Waveform
from speechxfer.errors import ConfigError, DataError
from speechxfer.predictor import Predictor

_MOST_SHOWN = 20


def align_recording(
    model: Predictor, blocks: Iterable[Waveform], lines: Sequence[Line], name: str, *, characters: bool = False,
    prices: Prices | None = None, warn: Callable[[str, str], None] = lambda _message, _kind: None,
    advance: Callable[[float], None] = lambda _seconds: None,
) -> Alignment:  # fmt: skip
    """Align the words of lines with a recording.

    Args:
        model: with a CTC head.
        blocks: of the recording, float32 mono 16 kHz, each [num_samples] of any length.
        lines: what is said in it, more or less.
        name: what messages call the text.
        characters: whether the times of characters are wanted.
        prices: of differences.
        warn: called with what is wrong with the text, and the kind of it.
        advance: called with the seconds of each segment that is done.

    Raises:
        AudioError: the recording cannot be read.
        ConfigError: the model has no CTC head.
        DataError: the text has no word, or none that the model can spell.
    """
    script = _script(model, lines, name, warn)
    prices, written = prices or Prices(), model.traits.symbol_texts
    symbols = {symbol for word in script.symbols for symbol in word}
    symbols |= {number for number, text in enumerate(written) if not text.strip()}
    with Emissions(sorted(symbols), 1.0 / model.traits.frame_rate) as emissions:
        fill(emissions, model, blocks, advance)
        path = find_path(emissions, script, written, prices)
        return alignment(emissions, script, path, written, prices, characters=characters)


def _script(model: Predictor, lines: Sequence[Line], name: str, warn: Callable[[str, str], None]) -> Script:
    if not model.traits.is_frame_synchronous:
        raise ConfigError(f"the model has a {model.traits.kind} head, which does not align; wanted a model with a CTC head")  # fmt: skip  # noqa: E501
    script = Script(lines, model.traits)
    if not len(script):
        raise DataError(f"{name}: has no word; wanted what is said in the recording")
    if script.missing:
        character, word = next(iter(script.missing.items()))
        listed = "".join(list(script.missing)[:_MOST_SHOWN])
        message = f"{name}: the model lacks {len(script.missing)} of its characters ({listed!r}), such as {character!r} in {word!r}"  # fmt: skip  # noqa: E501
        if not any(script.symbols):
            raise DataError(f"{message}, and has none of the others; take a model of its language, or write the text as the model does")  # fmt: skip  # noqa: E501
        warn(f"{message}; words are aligned without them, and a word of nothing else with any sound", "characters")
    return script
