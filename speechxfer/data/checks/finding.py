"""A finding of the checks, and for each kind its severity, its remedy, and what `--fix` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
#: What `--fix` does with the line: drop it, repair its text, or keep it.
Action = Literal["drop", "repair", "keep"]


@dataclass(frozen=True)
class Kind:
    """A kind of finding."""

    severity: Severity
    action: Action
    remedy: str
    #: Whether a run reports it before training, like errors: it concerns the settings of the run.
    before_run: bool = False


_COPY_AGAIN = "copy or download the file again, or remove the line"

KINDS: dict[str, Kind] = {
    "line": Kind("error", "drop", "correct the line"),
    "missing": Kind("error", "drop", "correct the path; relative paths start at the manifest's folder"),
    "unreadable": Kind("error", "drop", _COPY_AGAIN),
    "truncated": Kind("error", "drop", _COPY_AGAIN),
    "short": Kind("warning", "keep", "copy or download the file again"),
    "streams": Kind("note", "keep", "choose the stream by a column audio_stream, counted from 0"),
    "clock": Kind("warning", "keep", "convert it to wav or flac, and check the start times of its lines"),
    "outside": Kind("error", "drop", "correct start and duration, or check that this is the right file"),
    "silent": Kind("error", "drop", "record it again, or remove the line"),
    "clipped": Kind("warning", "keep", "record at a lower level; what was cut off cannot be restored"),
    "offset": Kind("warning", "keep", "subtract the mean, or repair the recording device"),
    "channel": Kind("warning", "keep", "choose the channel by a column audio_channel, counted from 0"),
    "narrow-band": Kind("warning", "keep", "look for the original; if it is telephone speech, store it at 8 kHz"),
    "too-long": Kind("warning", "drop", "split it at pauses, together with its text"),
    "too-short": Kind("warning", "drop", "remove the line, or correct start and duration"),
    "too-few-frames": Kind("error", "drop", "check that the text belongs to this audio; CTC cannot be trained on it"),
    "speech-rate": Kind("warning", "drop", "listen: the text may belong to other audio, or to more or less of it"),
    "no-text": Kind("error", "drop", "write the transcript, or remove the line"),
    "empty-text": Kind("warning", "drop", "write the transcript, or remove the line"),
    "unknown-character": Kind("warning", "keep", "correct the text, or add training text with this character"),
    "unicode": Kind("warning", "repair", "correct the text; --fix composes characters and removes invisible ones"),
    "unreadable-character": Kind(
        "warning", "keep", "write what was said there: the letter is lost, or from a private font"
    ),
    "mixed-scripts": Kind("warning", "keep", "type it again in one alphabet, unless the language is written so"),
    "turkish": Kind("warning", "keep", "if this is Turkish or Azerbaijani, use --normalizer basic-turkish", True),
    "normalizer": Kind("warning", "keep", "use the normalizer basic, which keeps the marks of all scripts", True),
    "language": Kind("warning", "keep", "name it by its code or in English, such as it or Italian", True),
    "stand-in": Kind("note", "keep", "leave the cell empty if the value is unknown; keep the word if it was said"),
    "unused-column": Kind("note", "keep", "choose the part by start and end in seconds, or by audio_channel", True),
    "duplicate-text": Kind("note", "keep", "check that it is intended"),
    "duplicate-audio": Kind("warning", "drop", "keep one of the two lines"),
    "audio-in-both": Kind("error", "drop", "remove it from one split: scores on training audio are meaningless"),
    "text-in-both": Kind("warning", "keep", "split by sentence: `speechxfer manifest split` does"),
    "speaker-in-both": Kind("warning", "keep", "split by speaker: `speechxfer manifest split` does"),
    "no-label": Kind("error", "drop", "write the label, or remove the line"),
    "unknown-label": Kind("error", "drop", "correct the label, or add training utterances of it"),
    "several-classes": Kind("note", "keep", "train with classification.multi_label=true if it is multi-label"),
    "label-spelling": Kind("warning", "keep", "spell the class in one way, or keep two classes", True),
    "imbalance": Kind("note", "keep", "collect more of the rare classes, or use classification.class_weights"),
}


@dataclass(frozen=True)
class Finding:
    """A finding about one line of a manifest, several lines, or the manifest as a whole.

    Attributes:
        kind: one of `KINDS`.
        file: the manifest, as it was named.
        lines: counted from 1; empty for the manifest as a whole.
        what: was found.
    """

    kind: str
    file: str
    lines: tuple[int, ...]
    what: str

    @property
    def line(self) -> int | None:
        """The first of its lines."""
        return self.lines[0] if self.lines else None

    @property
    def severity(self) -> Severity:
        """Errors stop training or invalidate scores, warnings may do so, and notes need a judgment."""
        return KINDS[self.kind].severity

    @property
    def remedy(self) -> str:
        """What the user should do."""
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
