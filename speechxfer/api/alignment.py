"""When each word of a text is said in a recording."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from speechxfer import audio as sound
from speechxfer.api.evaluation import Model, opened_model
from speechxfer.data import annotations, textfiles
from speechxfer.errors import DataError, printable
from speechxfer.progress import Progress

if TYPE_CHECKING:
    from speechxfer.alignment.result import Alignment
    from speechxfer.alignment.script import Line
    from speechxfer.model import SpeechModel

#: A sentence ends after these, and what closes a quotation.
_SENTENCES = re.compile(r"(?<=[.!?…])[\"'»”’)]*\s+|(?<=[。！？])")  # noqa: RUF001


def align(
    model: Model,
    audio: Any,
    text: str | os.PathLike[str],
    *,
    sample_rate: int | None = None,
    characters: bool = False,
    least_matched: float = 0.3,
    language: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    **reading: Unpack[sound.Options],
) -> Alignment:
    """Find when each word of a text is said; in recordings of any length, in flat memory.

    Words of the text need not have been said, and speech need not be in the text: both are reported. Words keep their
    spelling; they are aligned as the model spells them.

    Args:
        model: one with a CTC head: a `SpeechModel`, a `Run`, or a folder, an installed package or a name on the hub.
        audio: a file, its bytes, an `AudioSource`, or an array of samples with its `sample_rate` in Hz.
        text: the words themselves (`str`), or the file of a script or of subtitles (`Path`): .txt, or what
            `data.annotations` reads. A line or a sentence becomes a segment of the transcript.
        characters: whether times of characters are wanted, too.
        least_matched: smallest fraction of the words that must be found.
        language: in which a model of several languages is opened.
        device: for a model that is opened here.
        progress: receives what goes on.
        reading: as for `SpeechModel.transcribe`.

    Raises:
        AudioError: the audio cannot be used.
        CheckpointError: the model cannot be found or read.
        ConfigError: the model has no CTC head.
        DataError: there is no word in the text, the model has none of its characters, or recording and text do not
            match.
    """
    progress = progress or Progress()
    source = sound.source_of(audio, sample_rate)
    lines = list(script_lines(text, progress))
    opened = opened_model(model, device, language)
    name = os.fspath(text) if isinstance(text, os.PathLike) else "the text"
    return aligned(
        opened, source, lines, name=name, characters=characters, least_matched=least_matched, progress=progress,
        **reading,
    )  # fmt: skip


def aligned(
    model: SpeechModel, source: sound.Source, lines: list[Line], *, name: str, characters: bool = False,
    least_matched: float = 0.3, progress: Progress, start: float = 0.0, duration: float | None = None,
    **reading: Unpack[sound.Options],
) -> Alignment:  # fmt: skip
    """As `align`, of lines; of an excerpt, whose times are counted from its beginning."""
    raise NotImplementedError


def script_lines(text: str | os.PathLike[str], progress: Progress) -> Iterator[Line]:
    """The lines and sentences of a text, or the cues of subtitles.

    Raises:
        DataError: the file cannot be read.
    """
