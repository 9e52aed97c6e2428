"""What readable subtitles are."""

from __future__ import annotations

from dataclasses import dataclass

from speechxfer.config.values import Kind, Range

_KINDS = {
    "line_length": Kind(int, Range(8, 1000)),
    "lines": Kind(int, Range(1, 10)),
    "characters_per_second": Kind(float, Range(1, 1000)),
    "min_duration": Kind(float, Range(0, 60)),
    "max_duration": Kind(float, Range(0.1, 600)),
    "gap": Kind(float, Range(0, 10)),
}


@dataclass(frozen=True)
class SubtitleOptions:
    """Limits of subtitles; those of Netflix's Timed Text Style Guide (General Requirements; English) by default.

    Wide characters (Chinese, Japanese, Korean) count as two, so a line has 21 of them.

    Raises:
        ConfigError: a value that no subtitles can keep to, with the option's name and what is wanted.
    """

    #: Characters of a line.
    line_length: int = 42
    #: Lines of a cue.
    lines: int = 2
    #: Characters that a viewer reads in a second, spaces included.
    characters_per_second: float = 17.0
    #: Seconds that a cue stays.
    min_duration: float = 5 / 6
    max_duration: float = 7.0
    #: Seconds between two cues: two frames of 24 a second.
    gap: float = 1 / 12

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            kind.check(name, getattr(self, name))
