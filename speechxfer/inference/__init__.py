"""Recordings of any length to transcripts or classes: split at pauses, computed in batches, joined and written.

This package knows no model, only a callable that returns a hypothesis for each waveform.
"""

from speechxfer.inference.transcribing import (
    Event,
    Open,
    Read,
    Recognize,
    Settings,
    Window,
    events,
    transcribe_many,
    windows,
)
from speechxfer.inference.transcript import Segment, Transcript

__all__ = [
    "Event", "Open", "Read", "Recognize", "Segment", "Settings", "Transcript", "Window", "events", "transcribe_many",
    "windows",
]  # fmt: skip
