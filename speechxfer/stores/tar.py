"""Tar shards: where in the file each member is, so that it is read without unpacking the others."""

from __future__ import annotations

import errno
import hashlib
import tarfile
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from speechxfer.stores.stored import Section, Stored

_HEADER = 512


class Member(NamedTuple):
    """A file in a tar shard: its name, and its first byte and the one after its last."""

    name: str
    start: int
    stop: int


def members(shard: Stored) -> Iterator[Member]:
    """The files of a shard in order, as they are found; folders and links are passed over.

    Raises:
        OSError: it cannot be read, is no tar file, or is cut short or damaged; what stands before that is given first.
    """
    size, last = shard.size(), "its beginning"
    with shard.open() as file:
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                while (found := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]  # it keeps all, which no long shard can afford
                    start, stop = found.offset_data, found.offset_data + found.size
                    if stop > size:
                        raise OSError(errno.EIO, f"a tar file that is cut short in {found.name}; copy it again")
                    if found.isreg() and not found.issparse():
                        yield Member(found.name.removeprefix("./"), start, stop)
                        last = found.name
                end: int = tar.offset
        except tarfile.TarError as error:
            raise OSError(errno.EIO, f"no tar file, or damaged after {last} ({error}); copy it again") from error
        # Where a header is damaged, `tarfile` ends as if there were no more.
        file.seek(end)
        if any(file.read(_HEADER)):
            raise OSError(errno.EIO, f"a tar file that is damaged after {last}; copy it again")


def member(shard: Stored, name: str) -> Stored:
    """A file of a shard, by its name; of several of one name the last counts, as when they are unpacked.

    Raises:
        OSError: there is none, or the shard cannot be read.
    """
    return _index(shard).find(shard, name)


class _Index:
    """Where members are, in 24 bytes each: a corpus may have millions of them."""

    def __init__(self, shard: Stored) -> None:
        places: dict[int, tuple[int, int]] = {}
        self.damage: OSError | None = None
        try:
            for name, start, stop in members(shard):
                places[_digest(name)] = (start, stop)
        except OSError as error:
            self.damage = error
        names = sorted(places)
        self._names = array("Q", names)
        self._starts = array("Q", (places[name][0] for name in names))
        self._stops = array("Q", (places[name][1] for name in names))

    def find(self, shard: Stored, name: str) -> Stored:
        wanted = _digest(name)
        at = bisect_left(self._names, wanted)
        if at == len(self._names) or self._names[at] != wanted:
            if self.damage:
                raise self.damage
            raise FileNotFoundError(errno.ENOENT, f"no such member in {shard.name}")
        return Section(f"{shard.name}/{name}", shard, self._starts[at], self._stops[at])


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "little")


_indexes: dict[str, tuple[object, _Index]] = {}


def _index(shard: Stored) -> _Index:
    """That of a shard, made once for each version of it."""
    version = shard.version()
    known = _indexes.get(shard.name)
    if known is None or known[0] != version:
        known = _indexes[shard.name] = (version, _Index(shard))
    return known[1]
