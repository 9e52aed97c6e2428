"""Recordings of any length to transcripts or classes: split at pauses, computed in batches, joined and written.

This package knows no model, only a callable that returns a hypothesis for each waveform.
"""

from speechxfer.inference.transcribing import Event, Recognize, Settings, events, transcribe_many
from speechxfer.inference.transcript import Segment, Transcript

__all__ = ["Event", "Recognize", "Segment", "Settings", "Transcript", "events", "transcribe_many"]
