"""Transcripts as subtitles that people can read: cues of a few short lines that stay long enough."""

from speechxfer.inference.subtitles.cues import Cue, cues
from speechxfer.inference.subtitles.options import SubtitleOptions

__all__ = ["Cue", "SubtitleOptions", "cues"]
