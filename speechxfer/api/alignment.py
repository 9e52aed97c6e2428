"""When each word of a text is said in a recording."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from speechxfer import audio as sound
from speechxfer.api.evaluation import Model, opened_model
from speechxfer.data import annotations, textfiles
from speechxfer.errors import ConfigError
from speechxfer.progress import Progress

if TYPE_CHECKING:
    from speechxfer.alignment.result import Alignment
    from speechxfer.alignment.script import Line

#: After these, and what closes a quotation, a sentence ends.
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
    """Find when each word of a text is said, in a recording of any length.

    Words of the text need not have been said, and speech need not be in the text: both are reported. Words keep their
    spelling; they are aligned as the model spells them.

    Args:
        model: one with a CTC head: a `SpeechModel`, a `Run`, or a folder, an installed package or a name on the hub.
        audio: a file, its bytes, an `AudioSource`, or an array of samples with its `sample_rate` in Hz.
        text: the words themselves (`str`), or the path (`Path`) of a text file or of subtitles. A line, a sentence or a
            subtitle becomes a segment of the transcript.
        characters: whether the times of characters are wanted, too.
        least_matched: smallest fraction of the text's words that must be found.
        language: in which a model of several languages is opened.
        device: for a model that is opened here.
        progress: receives what goes on.
        reading: as for `SpeechModel.transcribe`.

    Raises:
        AudioError: the audio cannot be used.
        CheckpointError: the model cannot be found or read.
        ConfigError: the model has no CTC head, or a fraction is not between 0 and 1.
        DataError: the text has no word, the model lacks its characters, or recording and text do not match.
    """
    if not 0 <= least_matched <= 1:
        raise ConfigError(f"least_matched is {least_matched}; wanted a fraction, 0 to 1")
    progress = progress or Progress()
    source = sound.source_of(audio, sample_rate)
    lines = read_lines(text, progress)
    opened = opened_model(model, device, language)
    from speechxfer.alignment.recordings import align_recording

    named = os.fspath(text) if isinstance(text, os.PathLike) else "the text"
    found = align_recording(opened, source, lines, text_name=named, characters=characters, progress=progress, **reading)
    found.check_matched(least_matched, source.name, named)
    return dataclasses.replace(found, transcript=dataclasses.replace(found.transcript, source=source.name))


def read_lines(text: str | os.PathLike[str], progress: Progress) -> Sequence[Line]:
    """The sentences of a text or of a text file, or the cues of subtitles.

    Raises:
        DataError: the file cannot be read.
    """
    if not isinstance(text, os.PathLike):
        return list(_sentences(text.splitlines(), ""))
    path = Path(text)
    if path.suffix.lower() in annotations.SUFFIXES:
        return list(_cues(path, progress))
    return list(_sentences(textfiles.lines(path), f"{path}:"))


def _sentences(lines: Any, origin: str) -> Iterator[Line]:
    from speechxfer.alignment.script import Line

    for number, line in enumerate(lines, start=1):
        for sentence in _SENTENCES.split(line):
            if sentence and sentence.strip():
                yield Line(" ".join(sentence.split()), origin=f"{origin}{number}" if origin else "")


def _cues(path: Path, progress: Progress) -> Iterator[Line]:
    from speechxfer.alignment.script import Line

    for cue in annotations.read(path, progress.warn).intervals:
        if cue.text.strip():
            yield Line(cue.text, (cue.start, cue.end), cue.origin)
