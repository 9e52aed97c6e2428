"""Recordings of any length to transcripts or classes: split at pauses, computed in batches, joined and written.

This package knows no model, only a callable that returns a hypothesis for each waveform.
"""

from speechxfer.inference.stitching import Recognize, transcribe
from speechxfer.inference.transcript import Segment, Transcript

__all__ = ["Recognize", "Segment", "Transcript", "transcribe"]
