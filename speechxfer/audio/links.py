"""Files that hold several recordings, one after the other: joined with `cat`, or a chain of Ogg streams.

Decoders read only the first and report no error, or decode the headers in the middle as sound.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import BinaryIO, Literal

#: A recording in a file, from one byte to another.
Link = tuple[int, int]

_FLAC = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
_OGG_FIRST_PAGE = b"OggS\x00\x02"
_AMR = b"#!AMR"
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_STEP = 1 << 20
#: Results are kept while a file does not change, so that a file with many excerpts is searched once.
_MOST_KNOWN = 1000
_known: dict[tuple[int, ...], list[Link]] = {}


def links(file: BinaryIO, size: int) -> list[Link]:
    """The recordings in a file, in order. Formats that decoders read on in (mp3, raw AAC) count as one."""
    key = _identity(file, size)
    if key in _known:
        return _known[key]
    found = list(itertools.pairwise([*_starts(file, size), size]))
    if key:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = found
    return found


def _identity(file: BinaryIO, size: int) -> tuple[int, ...]:
    """What changes when a file does; empty for a file in memory."""
    try:
        status = os.fstat(file.fileno())
    except (OSError, AttributeError):
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns, size


def _starts(file: BinaryIO, size: int) -> Iterator[int]:
    file.seek(0)
    head = file.read(12)
    yield 0
    if head.startswith(b"OggS"):
        yield from _ogg(file)
    elif head.startswith(b"fLaC"):
        yield from sorted(place for marker in _FLAC for place in _places(file, marker) if place)
    elif head.startswith((b"RIFF", b"FORM")) and head[8:12] in (b"WAVE", b"AIFF", b"AIFC"):
        yield from _chunked(file, size, head)
    elif head.startswith(_AMR):
        yield from itertools.islice(_places(file, _AMR), 1, None)
    elif head[4:8] == b"ftyp":
        yield from _mp4(file, size)
    elif head.startswith(_EBML):
        yield from _matroska(file, size)


def _places(file: BinaryIO, wanted: bytes, start: int = 0) -> Iterator[int]:
    """Where some bytes stand in a file."""
    held, at = b"", start
    file.seek(start)
    while block := file.read(_STEP):
        block, held = held + block, b""
        place = block.find(wanted)
        while place >= 0:
            yield at + place
            file.seek(at + len(block))
            place = block.find(wanted, place + 1)
        held = block[-len(wanted) + 1 :]
        at += len(block) - len(held)


def _ogg(file: BinaryIO) -> Iterator[int]:
    """Where streams begin after others; those that sound together begin side by side."""
    end_of_page = -1
    for place in list(_places(file, _OGG_FIRST_PAGE)):
        if place not in (0, end_of_page):
            yield place
        file.seek(place + 26)
        count = (file.read(1) or b"\0")[0]
        end_of_page = place + 27 + count + sum(file.read(count))


def _chunked(file: BinaryIO, size: int, head: bytes) -> Iterator[int]:
    """Where a file of chunks ends, as it states itself, and another of its kind begins."""
    order: Literal["little", "big"] = "little" if head.startswith(b"RIFF") else "big"
    at = 0
    while at + 12 <= size:
        at += 8 + int.from_bytes(head[4:8], order)
        for padded in (at + at % 2, at):
            file.seek(min(size, padded))
            following = file.read(12)
            if following[:4] == head[:4] and following[8:] == head[8:]:
                break
        else:
            return
        at, head = padded, following
        yield at


def _mp4(file: BinaryIO, size: int) -> Iterator[int]:
    """Where the second of two files begins, each of which has its own index."""
    at, indexed = 0, False
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if kind == b"ftyp" and indexed:
            indexed = False
            yield at
        indexed |= kind == b"moov"
        length = int.from_bytes(head[8:], "big") if length == 1 else length
        if length < 8:
            return
        at += length


def _matroska(file: BinaryIO, size: int) -> Iterator[int]:
    """Where a header comes again; live recordings do not state how long they are, and are looked through."""
    at = 0
    while at < size:
        file.seek(at)
        name = file.read(4)
        if name == _EBML and at:
            yield at
        length = _ebml_size(file)
        if name not in (_EBML, _SEGMENT) or length is None:
            if name == _SEGMENT:
                yield from _places(file, _EBML, at)
            return
        at = file.tell() + length


def _ebml_size(file: BinaryIO) -> int | None:
    """The size of an element, of 1 to 8 bytes; None where it is not known."""
    first = (file.read(1) or b"\0")[0]
    more = 8 - first.bit_length()
    value = first & (0xFF >> (more + 1))
    digits = file.read(max(0, more))
    known = more < 8 and not (value == 0xFF >> (more + 1) and digits == b"\xff" * more)
    return value << 8 * more | int.from_bytes(digits, "big") if known else None
