"""The same sound in every container and codec that can be written here, read back: how long it is then.

    python -m scripts.audio_formats > docs/audio-formats.md

What FFmpeg decodes whole has to be read to within 50 ms of its length, or be refused; the exit status is 1 otherwise.
The length is that of FFmpeg's own decoding, which has what encoders add where a format does not state it.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scripts.audio_files import FORMS, Form, speech_like, write
from speechxfer import audio
from speechxfer.errors import AudioError

SECONDS = 6.0
#: Where the excerpt lies, in seconds.
START, DURATION = 3.5, 1.5
#: By how much an excerpt may lie beside the sound of the whole, and differ from it beside what is shifted.
_LATEST_S, _UNLIKE = 0.001, 0.1
_TOLERANCE_S = 0.05

_HEADER = f"""# Audio formats

`python -m scripts.audio_formats` wrote {SECONDS:g} s of sound in each container and codec and read it back. Figures are
milliseconds. *Decoded* is what FFmpeg decodes beyond the sound that was written: encoders add some at both ends, and
not every format states how much. *Read* and *measured* are how far `audio.load` and `audio.info` differ from that;
*excerpt* is by how much {DURATION:g} s from {START:g} s on lie beside the same in the whole file.

| suffix | container and codec | Hz | channels | decoded | read | measured | excerpt |
|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Row:
    """What became of a form."""

    form: Form
    refused: str = ""
    decoded_s: float | None = None
    loaded_s: float = math.nan
    measured_s: float = math.nan
    excerpt_s: float = math.nan

    @property
    def is_right(self) -> bool:
        """Refused, or as long as FFmpeg decodes it or as what was written, and the excerpt in its place."""
        if self.refused:
            return True
        lengths = [length for length in (self.decoded_s, SECONDS) if length is not None]
        near = [min(abs(one - length) for length in lengths) for one in (self.loaded_s, self.measured_s)]
        return max(near) <= _TOLERANCE_S and abs(self.excerpt_s) <= _LATEST_S

    def __str__(self) -> str:
        form = self.form
        begins = f"| {form.suffix} | {form} | {form.rate} | {form.channels} |"
        decoded = "-" if self.decoded_s is None else f"{1000 * (self.decoded_s - SECONDS):+.0f}"
        if self.refused:
            return f"{begins} {decoded} | refused | | |"
        length = SECONDS if self.decoded_s is None else self.decoded_s
        figures = [self.loaded_s - length, self.measured_s - length, self.excerpt_s]
        return f"{begins} {decoded} | {' | '.join(f'{1000 * figure:+.1f}' for figure in figures)} |"


def main() -> None:
    """Write and read every form."""
    print(_HEADER)
    wrong, missing = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, form in enumerate(FORMS):
            path = Path(folder, f"{number}.{form.suffix}")
            try:
                write(path, form, speech_like(SECONDS, form.rate))
            except Exception as error:  # whatever a library raises that lacks the encoder
                missing.append(f"{form} ({type(error).__name__})")
                continue
            row = read(path, form)
            print(row, flush=True)
            if not row.is_right:
                wrong.append(row)
    print(f"\n{len(FORMS) - len(missing)} formats." + "".join(f" Not written here: {one}." for one in missing))
    for row in wrong:
        print(f"wrong: {row}", file=sys.stderr)
    sys.exit(bool(wrong))


def read(path: Path, form: Form) -> Row:
    """A file with FFmpeg, whole, measured, and an excerpt of it."""
    decoded_s = decoded(path)
    try:
        whole = audio.load(path)
        measured_s = audio.info(path).duration
        excerpt = audio.load(path, start=START, duration=DURATION)
    except AudioError as error:
        return Row(form, str(error), decoded_s)
    return Row(form, "", decoded_s, len(whole) / audio.SAMPLE_RATE, measured_s, late_s(excerpt, whole))


def decoded(path: Path) -> float | None:
    """Seconds that FFmpeg decodes; None where it does not decode the file."""
    import av

    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            frames = container.decode(audio=0)
            return math.fsum(frame.samples / frame.sample_rate for frame in frames) or None
    except (av.error.FFmpegError, IndexError, ValueError):
        return None


def late_s(excerpt: np.ndarray, whole: np.ndarray) -> float:
    """By how much an excerpt lies beside its place in the whole; infinite where it is not found near there."""
    at, reach = round(START * audio.SAMPLE_RATE), round(0.05 * audio.SAMPLE_RATE)
    inner = excerpt[400:-400]

    def unlike(shift: int) -> float:
        there = whole[at + 400 + shift :][: len(inner)]
        return float(np.abs(there - inner[: len(there)]).max()) if len(there) > len(inner) // 2 else math.inf

    best = min(_shifts(reach), key=unlike)
    return best / audio.SAMPLE_RATE if unlike(best) < _UNLIKE else math.inf


def _shifts(reach: int) -> Iterator[int]:
    """The nearest first."""
    yield 0
    for shift in range(1, reach):
        yield from (shift, -shift)


if __name__ == "__main__":
    main()
