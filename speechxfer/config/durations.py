"""Times that people write: "90s", "15m", "1h"."""

from __future__ import annotations

import re

from speechxfer.errors import ConfigError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
WANTED = "a time, for instance 90s, 15m or 1h"


def seconds(value: str | float, name: str) -> float:
    """Seconds of "90s", "15m" or "1h"; a number is seconds.

    Args:
        name: of the setting or option, for the message.

    Raises:
        ConfigError: it is none of these.
    """
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([smh]?)\s*", str(value))
    if not found or not float(found[1]):
        raise ConfigError(f"{name} is {value!r}; wanted {WANTED}")
    return float(found[1]) * _UNITS[found[2]]


def in_words(seconds_: float) -> str:
    """Seconds as a person reads them: "45 s", "12 min", "1 h 05 min"."""
    if seconds_ < 90:
        return f"{seconds_:.0f} s"
    hours, minutes = divmod(round(seconds_ / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
