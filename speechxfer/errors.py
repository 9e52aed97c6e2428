"""What can go wrong, in words for the person who has to fix it.

Every error a user can cause derives from `SpeechxferError`; the command line prints its message as one
line and exits with its `exit_status`. A message names the file and line, what was found, what was wanted
and what to do.
"""

from __future__ import annotations

import unicodedata


class SpeechxferError(Exception):
    """Base of all errors that have a cause outside this package.

    A message is one line, whatever it quotes of a file: see `printable`.
    """

    exit_status = 1

    def __init__(self, message: object = "", **named: object) -> None:
        super().__init__(printable(str(message)), **named)


class ConfigError(SpeechxferError):
    """Options that are wrong by themselves or do not fit together."""

    exit_status = 2


class MissingPackageError(ConfigError, ImportError):
    """A package that an extra of this one brings (`speechxfer[train]`), and that is not installed."""


class DataError(SpeechxferError):
    """A manifest, a transcript or a label that cannot be used."""


class AudioError(DataError):
    """A file or array that does not hold usable sound."""


class TruncatedAudioError(AudioError):
    """A file that holds less sound than its header promises."""


class CheckpointError(SpeechxferError):
    """A model folder, hub id or training checkpoint that cannot be found or read."""


class StorageError(SpeechxferError):
    """Something could not be written: a full disk, a read-only folder."""


class DiskFullError(StorageError):
    """Nothing more can be written there: no space is left, or a quota is used up."""


class ExportError(SpeechxferError):
    """A model that another runtime cannot be given, or that does not do the same there."""


class TrainingError(SpeechxferError):
    """A run that cannot go on by itself."""


def printable(text: str) -> str:
    """Text on one line that does nothing to a terminal: control characters, line breaks and bytes become escapes."""
    return "".join(
        one.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if "\udc80" <= one <= "\udcff"
        else one.encode("unicode_escape").decode()
        if unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp")
        else one
        for one in text
    )
