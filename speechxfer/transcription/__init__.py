"""Recordings of any length -> transcripts: cut at pauses, recognised in batches, stitched and written.

No model is known here, only a callable that answers waveforms with hypotheses.
"""

from speechxfer.transcription.stitching import Recognise, transcribe
from speechxfer.transcription.transcript import Segment, Transcript

__all__ = ["Recognise", "Segment", "Transcript", "transcribe"]
