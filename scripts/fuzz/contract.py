"""What reading any file may do: succeed, or raise one of the package's own errors, in one line that names the file."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from speechxfer.errors import SpeechxferError

#: Characters in a message, more than which nobody reads.
_LONGEST_MESSAGE = 2000


@dataclass(frozen=True)
class Target:
    """One kind of file, and what reads it.

    Attributes:
        name: in the command's options and in the table.
        file: name of the file whose content is fuzzed.
        read: reads the file; also whatever is written beside it.
        seeds: contents to begin with; given a folder, in which it may write files that `read` needs beside that one.
        syntax: JSON is also changed by its values, so that most inputs pass the parser.
        weight: inputs of this target in proportion to others.
        names_file: whether an error must contain the file's name.
    """

    name: str
    file: str
    read: Callable[[Path], object]
    seeds: Callable[[Path], Iterable[bytes]]
    syntax: Literal["bytes", "json", "jsonl", "toml"] = "bytes"
    weight: int = 1
    names_file: bool = True


@dataclass(frozen=True)
class Violation:
    """What a read did that it may not do.

    Attributes:
        key: equal for two violations of the same cause.
        what: for a person: the message or the traceback.
    """

    key: str
    what: str


def violation(target: Target, data: bytes, folder: Path) -> Violation | None:
    """Read a file with this content as the target does; None where the contract holds."""
    path = folder / target.file
    path.write_bytes(data)
    try:
        target.read(path)
    except SpeechxferError as error:
        return _violation_of(str(error), path.name if target.names_file else "", error)
    except RecursionError as error:  # its traceback has thousands of lines
        return Violation(f"RecursionError {_place(error)}", f"RecursionError at {_place(error)}")
    except Exception as error:  # that there is none is what is looked for
        return Violation(f"{type(error).__name__} {_place(error)}", traceback.format_exc())
    return None


def _violation_of(message: str, name: str, error: Exception) -> Violation | None:
    checks = {
        "an empty message": not message,
        "a message of several lines": len(message.splitlines()) > 1,
        "a message with control characters": any(one < " " or one == "\x7f" for one in message),
        "a message that does not name the file": name not in message,
        "a message that is too long": len(message) > _LONGEST_MESSAGE,
    }
    wrong = next((what for what, is_wrong in checks.items() if is_wrong), None)
    return wrong and Violation(f"{wrong} {_place(error)}", f"{wrong}: {message[:500]!r}")  # type: ignore[return-value]


def _place(error: BaseException) -> str:
    """The package's innermost line that an error passed."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/speechxfer/" in frame.filename]
    return f"{frames[-1].filename.rpartition('/speechxfer/')[2]}:{frames[-1].lineno}" if frames else "outside"
