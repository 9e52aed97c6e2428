"""When each word of a text is said in a recording, and manifests made of that."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from speechxfer import audio as sound
from speechxfer.api.evaluation import Model, opened_predictor
from speechxfer.data.dataset import Data, Dataset
from speechxfer.data.manifest import Utterance
from speechxfer.errors import ConfigError
from speechxfer.extras import explained, need
from speechxfer.progress import Progress

if TYPE_CHECKING:
    from speechxfer.alignment.manifests import AlignedManifest
    from speechxfer.alignment.result import Alignment


@explained()
def align(
    model: Model,
    audio: Any,
    text: str | os.PathLike[str],
    *,
    sample_rate: int | None = None,
    characters: bool = False,
    least_matched: float = 0.5,
    language: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    **reading: Unpack[sound.Options],
) -> Alignment:
    """Find when each word of a text is said, in a recording of any length.

    Words of the text need not have been said, and speech need not be in the text: both are reported. Words keep their
    spelling; they are aligned as the model spells them.

    Args:
        model: one with a CTC head, trained or exported: opened, a `Run`, or a folder, an installed package or a name on
            the hub. An exported one needs numba, but not torch.
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
    _check_fraction("least_matched", least_matched)
    from speechxfer.alignment.script import read_lines, sentences

    progress = progress or Progress()
    source = sound.source_of(audio, sample_rate)
    is_path = isinstance(text, os.PathLike)
    name = os.fspath(text) if isinstance(text, os.PathLike) else "the text"
    lines = read_lines(Path(text), progress.warn) if is_path else list(sentences(str(text).splitlines()))
    opened = opened_predictor(model, device, language)
    need("numba", "alignment")
    from speechxfer.alignment.recordings import align_recording

    length_s = sound.info(source, stream=reading.get("stream")).duration
    with progress.task("alignment", length_s) as advance:
        samples = sound.blocks(source, **reading)
        found = align_recording(
            opened, samples, lines, name, characters=characters, warn=progress.warn, advance=advance
        )
    found.check_matched(least_matched, source.name, name)
    return dataclasses.replace(found, transcript=dataclasses.replace(found.transcript, source=source.name))


@explained()
def align_manifest(
    model: Model,
    data: Data,
    *,
    audio: str | os.PathLike[str] | None = None,
    max_s: float = 20.0,
    least_confidence: float = 0.3,
    least_matched: float = 0.5,
    language: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> AlignedManifest:
    """Find when the texts of a manifest are said, or cut a long recording with its script into utterances.

    An utterance gets the start and the duration of its words, so that silence around them is dropped, and a column
    `confidence`. What lasts longer than `max_s` is cut at ends of lines and sentences and at pauses.

    Args:
        model: as for `align`.
        data: a manifest as for `evaluate`; or, with `audio`, the path of its script (.txt) or of subtitles.
        audio: the recording of a script.
        max_s: longest utterance, in seconds.
        least_confidence: utterances below are left out, and listed.
        least_matched: utterances of which a smaller fraction of the words is found are left out, and listed.
        language: in which a model of several languages is opened.
        device: for a model that is opened here.
        progress: receives what goes on.

    Returns:
        The utterances, as `manifest`, and what differs, as `mismatches`.

    Raises:
        CheckpointError: the model cannot be found or read.
        ConfigError: the model has no CTC head, or a value is out of its range.
        DataError: no utterance matches its text, or a file cannot be read.
    """
    _check_fraction("least_matched", least_matched)
    _check_fraction("least_confidence", least_confidence)
    if not max_s >= 1:
        raise ConfigError(f"max_s is {max_s}; wanted at least 1 second")
    from speechxfer.alignment.script import Line, read_lines

    progress = progress or Progress()
    script: list[Line] | None = None
    if audio is None:
        dataset = Dataset.of(data)
    else:
        script = read_lines(Path(os.fspath(data)), progress.warn)  # type: ignore[arg-type]
        text, path = " ".join(line.text for line in script), os.fspath(audio)
        dataset = Dataset([Utterance(audio=path, text=text, origin=os.fspath(data))], Path(path))  # type: ignore[arg-type]
    dataset.check_files()
    opened = opened_predictor(model, device, language)
    need("numba", "alignment")
    from speechxfer.alignment.manifests import Cut, aligned_manifest

    cut = Cut(max_s, least_confidence, least_matched)
    return aligned_manifest(opened, dataset, cut, script=script, progress=progress)


def _check_fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is {value}; wanted a fraction, 0 to 1")
