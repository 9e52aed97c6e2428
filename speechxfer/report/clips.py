"""Audio to play, inside the page."""

from __future__ import annotations

import base64
import io

import soundfile

from speechxfer.audio import SAMPLE_RATE
from speechxfer.data.loading import read
from speechxfer.data.manifest import Utterance
from speechxfer.errors import AudioError
from speechxfer.report.markup import Html, element, join

#: Seconds of a clip, and bytes of all clips of a page, at most.
_LONGEST_S = 20.0
_BUDGET = 3_000_000
#: MP3 is what browsers on all systems play, and takes 5 kB a second; libsndfile writes it from 1.1 on.
_FORMAT, _MEDIA_TYPE = ("MP3", "audio/mpeg") if "MP3" in soundfile.available_formats() else ("FLAC", "audio/flac")


class Clips:
    """Makes players of utterances until the page is heavy enough."""

    def __init__(self) -> None:
        self._left = _BUDGET

    def player(self, utterance: Utterance) -> Html | None:
        """A player with the utterance's sound, or a note that the recording is not there.

        None where it cannot be read, or the page is full.
        """
        if utterance.source.problem():
            return element("small", "the recording is not there")
        try:
            waveform = read(utterance)
        except AudioError:
            return None
        kept = waveform[: int(_LONGEST_S * SAMPLE_RATE)]
        file = io.BytesIO()
        soundfile.write(file, kept, SAMPLE_RATE, format=_FORMAT)
        data = base64.b64encode(file.getvalue()).decode()
        if len(data) > self._left:
            return None
        self._left -= len(data)
        source = f"data:{_MEDIA_TYPE};base64,{data}"
        cut = element("small", f"the first {_LONGEST_S:g} s") if len(kept) < len(waveform) else None
        return join([element("audio", controls="", preload="none", src=source), cut])
