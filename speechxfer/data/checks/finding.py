"""What preflight says: a finding, and for each kind how bad it is, what to do, and what `--fix` does about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
#: What a cleaned manifest does with the line: leaves it out, repairs its text, or keeps it as it is.
Action = Literal["drop", "repair", "keep"]


@dataclass(frozen=True)
class Kind:
    """A sort of finding."""

    severity: Severity
    action: Action
    remedy: str
    #: Whether a run reports it before it begins, as it does errors: what concerns the settings of the run.
    before_run: bool = False


_AGAIN = "copy or download the file again, or leave the line out"

KINDS: dict[str, Kind] = {
    "line": Kind("error", "drop", "correct the line"),
    "missing": Kind("error", "drop", "correct the path; relative ones are seen from the manifest's folder"),
    "unreadable": Kind("error", "drop", _AGAIN),
    "truncated": Kind("error", "drop", _AGAIN),
    "short": Kind("warning", "keep", "copy or download the file again"),
    "streams": Kind("note", "keep", "name the stream that is meant in a column audio_stream, counted from 0"),
    "clock": Kind("warning", "keep", "convert it to wav or flac, and check the times of lines in it"),
    "outside": Kind("error", "drop", "correct start and duration, or check that this is the right file"),
    "silent": Kind("error", "drop", "record it again, or leave the line out"),
    "clipped": Kind("warning", "keep", "record at a lower level; what was cut off cannot be restored"),
    "offset": Kind("warning", "keep", "subtract the mean, or repair the recording device"),
    "channel": Kind("warning", "keep", "name the channel that is meant in a column audio_channel, counted from 0"),
    "narrow-band": Kind("warning", "keep", "look for the original; if this is the telephone, store it at 8 kHz"),
    "too-long": Kind("warning", "drop", "cut it at pauses, together with its text"),
    "too-short": Kind("warning", "drop", "leave the line out, or correct start and duration"),
    "too-few-frames": Kind("error", "drop", "check that the text belongs to this audio; CTC cannot learn from it"),
    "speech-rate": Kind("warning", "drop", "listen: the text may belong to other audio, or to more or less of it"),
    "no-text": Kind("error", "drop", "write the transcript, or leave the line out"),
    "empty-text": Kind("warning", "drop", "write the transcript, or leave the line out"),
    "unknown-character": Kind("warning", "keep", "correct the text, or add training text with this character"),
    "unicode": Kind("warning", "repair", "correct the text; --fix composes characters and removes invisible ones"),
    "unreadable-character": Kind("warning", "keep", "write what was said there: a letter is lost, or of one font"),
    "mixed-scripts": Kind("warning", "keep", "type it again in one alphabet, unless the language is written so"),
    "turkish": Kind("warning", "keep", "if this is Turkish or Azerbaijani, use --normalizer basic-turkish", True),
    "normalizer": Kind("warning", "keep", "use the normalizer basic, which keeps the marks of all scripts", True),
    "language": Kind("warning", "keep", "name it by its code or in English, such as it or Italian", True),
    "stand-in": Kind("note", "keep", "leave the cell empty where nothing is known; keep it where it was said"),
    "unused-column": Kind("note", "keep", "name the part by start and end in seconds, or by audio_channel", True),
    "duplicate-text": Kind("note", "keep", "check that it is meant to be there twice"),
    "duplicate-audio": Kind("warning", "drop", "keep one of the two lines"),
    "audio-in-both": Kind("error", "drop", "take it out of one split: scores on known audio say nothing"),
    "text-in-both": Kind("warning", "keep", "split by sentence: `speechxfer manifest split` does"),
    "speaker-in-both": Kind("warning", "keep", "split by speaker: `speechxfer manifest split` does"),
    "no-label": Kind("error", "drop", "write the label, or leave the line out"),
    "unknown-label": Kind("error", "drop", "correct the label, or add training utterances of it"),
    "several-classes": Kind("note", "keep", "--set classification.multi_label=true if several may hold at once"),
    "label-spelling": Kind("warning", "keep", "write the class in one way, or keep them as two classes", True),
    "imbalance": Kind("note", "keep", "collect more of the rare classes, or weigh classes in training"),
}


@dataclass(frozen=True)
class Finding:
    """Something about a line of a manifest, or, with several `lines`, about many lines at once.

    Attributes:
        kind: one of `KINDS`.
        file: the manifest, as it was named.
        lines: those it is about, counted from 1; none where it is about the manifest as a whole.
        what: was seen.
    """

    kind: str
    file: str
    lines: tuple[int, ...]
    what: str

    @property
    def line(self) -> int | None:
        """The first line it is about."""
        return self.lines[0] if self.lines else None

    @property
    def severity(self) -> Severity:
        """How bad it is: errors stop training or spoil its figures, warnings may, notes are for your judgement."""
        return KINDS[self.kind].severity

    @property
    def remedy(self) -> str:
        """What to do."""
        return KINDS[self.kind].remedy

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.severity}: {self.what}; {self.remedy} [{self.kind}]"

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "file": self.file,
            "line": self.line,
            "lines": list(self.lines),
            "what": self.what,
            "remedy": self.remedy,
        }
