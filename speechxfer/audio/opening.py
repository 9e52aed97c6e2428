"""From paths, bytes and open files to readers: which decoder takes a file, and what is in its way."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import soundfile as sf

from speechxfer.audio import headers
from speechxfer.audio.completeness import report_end
from speechxfer.audio.ffmpeg import AvReader
from speechxfer.audio.files import Quiet, Window
from speechxfer.audio.joined import JoinedReader
from speechxfer.audio.links import Link, links
from speechxfer.audio.options import Choice
from speechxfer.audio.pieces import Reader
from speechxfer.audio.sndfile import SoundFileReader
from speechxfer.errors import AudioError
from speechxfer.placeholders import ENOUGH, placeholder
from speechxfer.sources import AudioSource, StoredSource, source_at
from speechxfer.stores import is_remote

Source = str | os.PathLike[str] | bytes | bytearray | BinaryIO | AudioSource
"""A file's path, its bytes, an open binary file (read from its beginning, never closed), or an `AudioSource`."""

#: What libsndfile may open by its path. Of other files it believes the suffix: a film called `talk.gsm` would be GSM.
_BY_PATH = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"fLaC", b".snd", b"caff", b"riff\x2e\x91\xcf\x11")
#: Bare GSM has frames of 33 bytes, each of which begins with this in the upper half of a byte.
_GSM_FRAME, _GSM_MARK, _MOST_GSM_FRAMES = 33, 0xD0, 100


@contextlib.contextmanager
def opened(source: Source, choice: Choice) -> Iterator[Reader]:
    """A reader of a path, bytes or an open file.

    Raises:
        AudioError: there is no such file, or it is not audio.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(source, str | os.PathLike) and is_remote(source):
            source = source_at(source)
        known_as = source.name if isinstance(source, AudioSource) else None
        source = _contents(source, stack) if isinstance(source, AudioSource) else source
        file, name = _binary(source, stack)
        name = known_as or name
        # By its path libsndfile reads without a detour through Python.
        is_path = isinstance(source, str | os.PathLike) and getattr(file, "name", None) == os.fspath(source)
        try:
            yield _found(stack, file, name, choice, os.fspath(cast(str, source)) if is_path else None)
        except OSError as error:
            raise AudioError(f"{name}: cannot be read ({error}); check the disk or the network.") from error


def _contents(source: AudioSource, stack: contextlib.ExitStack) -> str | os.PathLike[str] | bytes | BinaryIO:
    """What a source has, closed in the end if it was opened for this."""
    contents = source.contents()
    if isinstance(source, StoredSource) and not isinstance(contents, bytes):
        stack.enter_context(cast(BinaryIO, contents))
    return contents


def _found(stack: contextlib.ExitStack, file: BinaryIO, name: str, choice: Choice, path: str | None) -> Reader:
    """Of all that is in a file."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        raise AudioError(f"{name}: the file is empty (0 bytes); copy or record it again.")
    file.seek(0)
    if what := placeholder(file.read(ENOUGH)):
        raise AudioError(f"{name}: {what}.")
    found = links(file, size)
    if len(found) == 1:
        return _reader(stack, file, name, choice, path)

    @contextlib.contextmanager
    def opened_link(link: Link) -> Iterator[Reader]:
        with contextlib.ExitStack() as own:
            yield _reader(own, cast(BinaryIO, Window(file, *link)), name, choice)

    return JoinedReader(found, opened_link, name, choice)


def _reader(stack: contextlib.ExitStack, file: BinaryIO, name: str, choice: Choice, path: str | None = None) -> Reader:
    """Of one recording; `path` is where it can be opened by name."""
    size = file.seek(0, os.SEEK_END)
    stated = headers.data_size(file, size)
    file.seek(0)
    head = file.read(12)
    # It looks like text, or begins with bytes that somebody may recognize.
    seen = f"it {'looks like text,' if head.isascii() and min(head) > 0 else 'begins with'} {head!r}"
    if stated and stated.changes:
        file, path = cast(BinaryIO, Window(file, 0, size, stated.changes)), None
    sound, why = _in_libsndfile(stack, file, path if path and head.startswith(_BY_PATH) else None, name)
    if sound is None:
        if headers.ends_in_a_page(file, size):
            report_end(name, choice)
        file.seek(0)
        return AvReader(stack, file, name, f"{why}{seen}", choice, fraction=stated.fraction if stated else 1.0)
    if choice.stream:
        raise AudioError(f"{name}: audio stream {choice.stream} is wanted; the file has 1, counted from 0.")

    def instead() -> Reader:
        file.seek(0)
        return AvReader(stack, file, name, seen, choice)

    return SoundFileReader(sound, name, stated.fraction if stated else 1.0, instead)


def _in_libsndfile(
    stack: contextlib.ExitStack, file: BinaryIO, path: str | None, name: str
) -> tuple[sf.SoundFile | None, str]:
    """The file open there, or None and what libsndfile says to it, where it is better left to FFmpeg."""
    if headers.is_compressed(file):
        return None, ""
    raw = {"format": "RAW", "subtype": "GSM610", "samplerate": 8_000, "channels": 1} if _is_gsm(file, name) else {}
    file.seek(0)
    try:
        sound = stack.enter_context(sf.SoundFile(_native(path) if path else Quiet(file, name), **raw))
    except (sf.LibsndfileError, TypeError) as error:  # TypeError: a headerless .raw file
        return None, f"{str(getattr(error, 'error_string', error)).rstrip('.')}; "
    # A streamed file states no length, or 2**63 - 1: libsndfile gives up on it, FFmpeg reads on.
    return (sound if 0 < sound.frames < 1 << 62 else None), ""


def _native(path: str) -> str | bytes:
    """A path as the file system has it; soundfile encodes strictly, but a name may hold any bytes."""
    return path if os.name == "nt" else os.fsencode(path)


def _is_gsm(file: BinaryIO, name: str) -> bool:
    """Whether a file of that suffix, which has no header, holds what the suffix says."""
    if not name.lower().endswith(".gsm"):
        return False
    file.seek(0)
    frames = [file.read(_GSM_FRAME) for _ in range(_MOST_GSM_FRAMES)]
    return all(frame[0] & 0xF0 == _GSM_MARK for frame in frames if frame)


def is_file(source: object) -> bool:
    """Whether something is a `Source`, not samples."""
    return isinstance(source, str | os.PathLike | bytes | bytearray | AudioSource) or hasattr(source, "read")


def _binary(
    source: str | os.PathLike[str] | bytes | bytearray | BinaryIO, stack: contextlib.ExitStack
) -> tuple[BinaryIO, str]:
    """A seekable binary file and what messages call it."""
    if isinstance(source, bytes | bytearray):
        return io.BytesIO(source), "<bytes>"
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        file = stack.enter_context(_open_path(name))
    elif hasattr(source, "read") and not isinstance(cast(object, source), io.TextIOBase):
        file, name = source, str(getattr(source, "name", "<bytes>"))
    else:
        wanted = "a path, bytes or a file opened in binary mode is wanted (an array needs its sample_rate)"
        raise AudioError(f"<{type(source).__name__}>: {wanted}.")
    if getattr(file, "seekable", bool)():
        return file, name
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # a pipe may be larger than the memory
    shutil.copyfileobj(file, copy)
    return cast(BinaryIO, copy), name


def _open_path(name: str) -> BinaryIO:
    try:
        file = Path(name).open("rb")  # noqa: SIM115
    except (OSError, ValueError) as error:
        known: dict[type[Exception], str] = {
            FileNotFoundError: f"no such file; check the path (seen from {Path.cwd()})",
            IsADirectoryError: "a folder, where one audio file is wanted; name a file in it",
            PermissionError: "permission denied; make the file readable for this user",
        }
        found = known.get(type(error), f"cannot be opened ({error}); check the path and the disk")
        raise AudioError(f"{name}: {found}.") from error
    if stat.S_ISCHR(os.fstat(file.fileno()).st_mode):
        file.close()
        raise AudioError(f"{name}: a device, where one audio file is wanted; record from it into a file.")
    return file
