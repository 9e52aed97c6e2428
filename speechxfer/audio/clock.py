"""Where decoded sound lies in time: it is counted in samples, and time stamps say where there is a pause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Time stamps are rounded; where they differ by more from what was counted, there is a pause. What FFmpeg counts
#: itself is not rounded, and differs where a packet is no sound.
_TOLERANCE_S = {"counted": 0.01, "broadcast": 0.1, "trusted": 0.1}
#: Pauses of a file last no longer than this, all together; a larger jump is a clock that was set.
_LONGEST_PAUSES_S = 86_400.0
#: In broadcasts, whose clocks are set again and again, none lasts longer (as in ffmpeg's -dts_delta_threshold).
_LONGEST_BROADCAST_PAUSE_S = 10.0

#: What time stamps are: "none" if they are not to be used, "counted" if FFmpeg made them up.
Stamps = Literal["none", "counted", "broadcast", "trusted"]


@dataclass
class Clock:
    """The time of a stream.

    Attributes:
        at: in samples at `rate`.
        rate: in Hz, of the sound that came last.
        stamps: how far time stamps are to be trusted.
        ahead_s: seconds by which time stamps are ahead, because of jumps that are no pauses but a clock that was set.
    """

    at: int
    rate: float
    stamps: Stamps
    ahead_s: float = 0.0
    _paused_s: float = 0.0

    @property
    def now_s(self) -> float:
        """In seconds."""
        return self.at / self.rate

    def place(self, stamp_s: float | None, rate: float) -> float:
        """Move to where the sound of a time stamp begins; how many seconds of pause that skips."""
        if rate != self.rate:
            self.at, self.rate = round(self.at * rate / self.rate), rate
        if stamp_s is None or self.stamps == "none":
            return 0.0
        pause_s = stamp_s - self.ahead_s - self.now_s
        if abs(pause_s) <= _TOLERANCE_S[self.stamps]:
            return 0.0
        longest_s = _LONGEST_BROADCAST_PAUSE_S if self.stamps == "broadcast" else _LONGEST_PAUSES_S - self._paused_s
        if not 0 < pause_s <= longest_s:
            self.ahead_s += pause_s
            return 0.0
        self._paused_s += pause_s
        self.at = round((stamp_s - self.ahead_s) * rate)
        return pause_s

    def advance(self, count: int) -> None:
        """By so many samples."""
        self.at += count
