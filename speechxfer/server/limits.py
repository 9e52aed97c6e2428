"""What the server allows a client, so that no client takes what others need."""

from __future__ import annotations

from dataclasses import dataclass, fields

from speechxfer.errors import ConfigError


@dataclass(frozen=True)
class Limits:
    """Limits of requests; a request beyond one is refused with an error that names it.

    Attributes:
        places: requests and Realtime sessions that are served or wait at a time.
        upload_mb: megabytes of a request's body.
        duration_s: seconds of one recording, and of one Realtime session.
        timeout_s: seconds of an upload; from its end to the end of the transcript; and without a message in a Realtime
            session.
        stall_s: seconds without a byte of an upload.

    Raises:
        ConfigError: a limit that is not above 0.
    """

    places: int = 128
    upload_mb: float = 100.0
    duration_s: float = 4 * 3600.0
    timeout_s: float = 600.0
    stall_s: float = 30.0

    def __post_init__(self) -> None:
        for item in fields(self):
            if not getattr(self, item.name) > 0:
                raise ConfigError(f"{item.name} is {getattr(self, item.name)}; wanted a number above 0")

    @property
    def upload_bytes(self) -> int:
        """Bytes of a request's body."""
        return int(self.upload_mb * 1_000_000)
