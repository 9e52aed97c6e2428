"""Lengths that headers state, where libsndfile and FFmpeg do not report that the file holds less."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

#: Bytes by which the size in an mp3's header may differ from that of the file: tags follow the sound.
_SLACK = 1024
#: Writers that cannot rewind state one of these as the size of their data, or a little less.
_PLACEHOLDERS = (1 << 31, 1 << 32, 1 << 63, 1 << 64)
_BELOW = 1 << 16
#: Or a round number, with or without the bytes of the header itself.
_ROUND = (10**6, 1 << 20)
_AT_LEAST_ROUND = 100_000_000
_HEADER_BYTES = (0, 8, 36, 44)
#: What a wma begins with, and what stands before its properties.
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
#: Numbers of MPEG audio in a wav.
_MPEG_TAGS = (0x50, 0x55)
#: Bytes at the beginning of a file in which a header is searched for.
_SEARCHED = 4096
#: Bytes of the longest page of an Ogg file.
_LONGEST_PAGE = 65_307
#: Samples per second by their number in the header of a raw AAC packet.
_ADTS_HZ = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
#: W64's names of chunks, as bytes.
_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


@dataclass(frozen=True, slots=True)
class DataSize:
    """The size of the sound in a file.

    Attributes:
        stated: bytes, by the header.
        found: bytes, to the end of the file.
        right: what the header should say, as bytes by their offset in the file.
    """

    stated: int
    found: int
    right: Mapping[int, bytes] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        """Bytes found per byte stated; 1 where a placeholder is stated."""
        return 1.0 if self.found >= self.stated or self.is_placeholder else self.found / self.stated

    @property
    def is_placeholder(self) -> bool:
        """Whether the writer did not know the size, and could not rewind to correct it."""
        stated = self.stated
        if stated <= 0 or any(limit - _BELOW <= stated < limit + _BELOW for limit in _PLACEHOLDERS):
            return True
        rounded = ((stated + more) % unit for more in _HEADER_BYTES for unit in _ROUND)
        return stated >= _AT_LEAST_ROUND and not all(rounded)

    @property
    def changes(self) -> Mapping[int, bytes]:
        """What replaces a placeholder before libraries read the file."""
        return self.right if self.is_placeholder else {}


def data_size(file: BinaryIO, size: int) -> DataSize | None:
    """Of wav, RF64, W64, aiff, au, caf, NIST, avi and wma; None for other files and where it is not stated."""
    file.seek(0)
    head = file.read(_SEARCHED)
    for magic, of in _READERS.items():
        if head.startswith(magic):
            return of(file, size, head)
    return None


def _of_chunks(file: BinaryIO, size: int, head: bytes) -> DataSize | None:
    """Of a file whose chunks have names and sizes of 4 bytes each; RF64 has the size of its data in the first."""
    order: Literal["little", "big"] = "little" if head[:4] in (b"RIFF", b"RF64") else "big"
    if head[8:12] == b"AVI ":
        return DataSize(int.from_bytes(head[4:8], order), size - 8)
    long_at = None
    file.seek(12)
    while len(chunk := file.read(8)) == 8:
        name, stated, start = chunk[:4], int.from_bytes(chunk[4:], order), file.tell()
        if name == b"ds64":
            long_at = start + 8
        if name in (b"data", b"SSND"):
            found = size - start
            if long_at and stated == 0xFFFF_FFFF:
                file.seek(long_at)
                return DataSize(int.from_bytes(file.read(8), "little"), found, {long_at: found.to_bytes(8, "little")})
            return DataSize(stated, found, {start - 4: min(found, 0xFFFF_FFFF).to_bytes(4, order)})
        file.seek(min(size, start + stated + stated % 2))
    return None


def _of_w64(file: BinaryIO, size: int, _head: bytes) -> DataSize | None:
    """Sizes there are of 8 bytes and count the chunk's own header, and chunks begin at multiples of 8."""
    at = 40
    while at + 24 <= size:
        file.seek(at)
        chunk = file.read(24)
        stated = int.from_bytes(chunk[16:], "little")
        if chunk[:16] == _W64_DATA:
            return DataSize(max(0, stated - 24), size - at - 24, {at + 16: (size - at).to_bytes(8, "little")})
        at += max(24, (stated + 7) // 8 * 8)
    return None


def _of_caf(file: BinaryIO, size: int, _head: bytes) -> DataSize | None:
    file.seek(8)
    while len(chunk := file.read(12)) == 12:
        stated, start = int.from_bytes(chunk[4:], "big", signed=True), file.tell()
        if chunk[:4] == b"data":
            return DataSize(stated, size - start, {start - 8: (size - start).to_bytes(8, "big")})
        file.seek(min(size, start + max(0, stated)))
    return None


def _of_au(_file: BinaryIO, size: int, head: bytes) -> DataSize:
    start, stated = (int.from_bytes(head[at : at + 4], "big") for at in (4, 8))
    found = max(0, size - start)
    return DataSize(stated, found, {8: min(found, 0xFFFF_FFFF).to_bytes(4, "big")})


def _of_asf(_file: BinaryIO, size: int, head: bytes) -> DataSize | None:
    at = head.find(_ASF_PROPERTIES)
    return DataSize(int.from_bytes(head[at + 40 : at + 48], "little"), size) if at >= 0 else None


def _of_nist(_file: BinaryIO, size: int, head: bytes) -> DataSize | None:
    """Of a SPHERE file without compression; its header is text, of as many bytes as its second line says."""
    numbers = dict(re.findall(rb"(sample_count|sample_n_bytes|channel_count) -i (\d+)", head))
    start = re.match(rb"NIST_1A\s+(\d+)", head)
    if not start or len(numbers) < 3 or b"embedded-shorten" in head:
        return None
    return DataSize(math.prod(map(int, numbers.values())), size - int(start[1]))


_READERS: dict[bytes, Callable[[BinaryIO, int, bytes], DataSize | None]] = {
    **dict.fromkeys((b"RIFF", b"RIFX", b"FORM", b"RF64"), _of_chunks),
    _W64: _of_w64,
    b".snd": _of_au,
    b"caff": _of_caf,
    b"NIST_1A": _of_nist,
    _ASF: _of_asf,
}


def is_compressed(file: BinaryIO) -> bool:
    """Whether a file is Ogg or MPEG audio, also in a wav.

    libsndfile guesses their lengths, leaves out what is damaged, and has a decoder that writes to the terminal.
    """
    file.seek(0)
    data = file.read(_SEARCHED)
    if data.startswith(b"RIFF"):
        at = data.find(b"fmt ") + 8
        return int.from_bytes(data[at : at + 2], "little") in _MPEG_TAGS
    return data.startswith((b"ID3", b"OggS")) or (data[0] == 0xFF and data[1:2] >= b"\xe0")


# Ogg


def ends_in_a_page(file: BinaryIO, size: int) -> bool:
    """Whether an Ogg file ends in the middle of a page, as an interrupted download does."""
    file.seek(0)
    if file.read(4) != b"OggS":
        return False
    start = max(0, size - _LONGEST_PAGE)
    file.seek(start)
    data = file.read()
    at = data.rfind(b"OggS")
    if at < 0 or len(data) < at + 27 or len(data) < at + 27 + data[at + 26]:
        return True
    return at + 27 + data[at + 26] + sum(data[at + 27 : at + 27 + data[at + 26]]) > len(data)


# MPEG audio


@dataclass(frozen=True, slots=True)
class Xing:
    """What an mp3's Xing or Info header states: the length, and whether that is the whole file's.

    It is not where mp3 files were joined, which leaves the header of the first in place.
    """

    length_s: float
    is_whole: bool


def xing(file: BinaryIO, size: int) -> Xing | None:
    """That header, None where there is none or no length in it."""
    file.seek(0)
    tag = file.read(10)
    start = 10 + _synchsafe(tag[6:]) if tag.startswith(b"ID3") else 0
    file.seek(start)
    data = file.read(_SEARCHED)
    at = next((at for at in range(len(data) - 4) if data[at] == 0xFF and data[at + 1] & 0xE6 == 0xE2), None)
    if at is None:
        return None
    version, rate, is_mono = data[at + 1] >> 3 & 3, data[at + 2] >> 2 & 3, data[at + 3] >> 6 == 3
    at += 4 + {(3, False): 32, (3, True): 17, (2, True): 9, (0, True): 9}.get((version, is_mono), 17)
    flags = int.from_bytes(data[at + 4 : at + 8], "big")
    if data[at : at + 4] not in (b"Xing", b"Info") or not flags & 1 or version == 1 or rate == 3:
        return None
    frames, covered = (int.from_bytes(data[at + more : at + more + 4], "big") for more in (8, 12))
    hz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    is_whole = bool(flags & 2) and abs(size - start - covered) <= max(_SLACK, size // 100)
    samples = frames * (1152 if version == 3 else 576) - _padding(data[at + 8 :], flags)
    return Xing(max(0, samples) / hz, is_whole)


def _padding(data: bytes, flags: int) -> int:
    """Samples before and after the sound, as LAME and FFmpeg state them behind the fields that the flags name."""
    at = sum(length for bit, length in enumerate((4, 4, 100, 4)) if flags & 1 << bit)
    if data[at : at + 4] not in (b"LAME", b"Lavf", b"Lavc"):
        return 0
    both = int.from_bytes(data[at + 21 : at + 24], "big")
    return (both >> 12) + (both & 0xFFF)


def _synchsafe(digits: bytes) -> int:
    """The size of an ID3 tag, of which 7 bits stand in each byte."""
    number = 0
    for digit in digits:
        number = number << 7 | digit & 0x7F
    return number


# AAC


def adts_s(packet: bytes) -> float:
    """Seconds of a packet of a raw AAC stream, by its own header: the rate may change from one to the next."""
    number = packet[2] >> 2 & 15 if len(packet) >= 7 else 15
    return 1024 * ((packet[6] & 3) + 1) / _ADTS_HZ[number] if number < len(_ADTS_HZ) else 0.0
