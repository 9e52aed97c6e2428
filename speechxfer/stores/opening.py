"""From an address to what is stored there."""

from __future__ import annotations

import os

from speechxfer.stores.address import inside_of, is_url, spelled, suffix
from speechxfer.stores.stored import LocalFile, Stored


def stored(address: str | os.PathLike[str]) -> Stored:
    """What an address names; whether it is there shows when it is read.

    Raises:
        ConfigError: it holds a password.
        OSError: it is inside of a file that cannot be read, or that does not hold it.
    """
    text = spelled(address)
    if (found := inside_of(text)) is None:
        return _file(text)
    file, place = found
    if suffix(file) == ".tar":
        from speechxfer.stores.tar import member

        return member(_file(file), place)
    from speechxfer.stores.parquet import cell

    return cell(_file(file), place)


def _file(address: str) -> Stored:
    if not is_url(address):
        return LocalFile(address)
    from speechxfer.stores.remote import RemoteFile

    return RemoteFile(address)
