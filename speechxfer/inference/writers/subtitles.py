"""Transcripts as subtitles: SRT and WebVTT."""

from __future__ import annotations

from speechxfer.inference.subtitles import Cue, SubtitleOptions, cues
from speechxfer.inference.transcript import Transcript


def srt(transcript: Transcript, options: SubtitleOptions) -> str:
    """Numbered cues; SRT has no way to escape markup, so the text is as it is."""
    blocks = (
        f"{number}\n{_times(cue, ',')}\n{_text(cue)}\n" for number, cue in enumerate(cues(transcript, options), 1)
    )
    return "\n".join(blocks)


def vtt(transcript: Transcript, options: SubtitleOptions) -> str:
    """Cues of WebVTT, in which `&`, `<` and `>` are escaped."""
    blocks = (f"{_times(cue, '.')}\n{_escaped(_text(cue))}\n" for cue in cues(transcript, options))
    return "\n".join(["WEBVTT\n", *blocks])


def _text(cue: Cue) -> str:
    return "\n".join(cue.lines)


def _times(cue: Cue, mark: str) -> str:
    return f"{_clock(cue.start_ms, mark)} --> {_clock(cue.end_ms, mark)}"


def _clock(time_ms: int, mark: str) -> str:
    seconds, milliseconds = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{mark}{milliseconds:03d}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
