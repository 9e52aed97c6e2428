"""How addresses are written: paths, URLs, and what is inside of a file."""

from __future__ import annotations

import os
import re
from pathlib import PurePath

from speechxfer.errors import ConfigError

#: A scheme has two letters or more, since one is a drive of Windows. `pathlib` leaves one slash of two.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
_INSIDE = re.compile(r"\.(?:[tT][aA][rR]|[pP][aA][rR][qQ][uU][eE][tT])/")
#: A name and password before the host, and parameters that open what is closed to others.
_SECRET = re.compile(
    r"^[^/]+://[^/@]*:[^/@]*@|[?&](?:x-amz-(?:signature|credential|security-token)|x-goog-signature|signature|sig|token|"
    r"access_token|apikey|api_key|key)=",
    re.IGNORECASE,
)


def is_url(address: str) -> bool:
    """Whether an address begins with a scheme, such as `s3://`."""
    return ":/" in address and _SCHEME.match(address) is not None


def spelled(address: str | os.PathLike[str]) -> str:
    """An address as text, a URL with the two slashes of which `pathlib` leaves one.

    Raises:
        ConfigError: it holds a password or a signature, which would be written into logs, reports and run folders.
    """
    text = os.fspath(address)
    if not is_url(text):
        return text
    text = _SCHEME.sub(r"\1://", text, count=1) if not text.startswith("file:") else _SCHEME.sub("/", text, count=1)
    if _SECRET.search(text):
        shown = re.sub(r"//[^/@]*@", "//…@", text.partition("?")[0])
        raise ConfigError(f"{shown}: the address holds a password or a signature, which would be written into logs and reports; leave it to the client of the store, which reads the environment and files of its own")  # fmt: skip  # noqa: E501
    return text


def joined(folder: str | os.PathLike[str], name: str) -> str:
    """An address as it is seen from a folder, which may be that of a URL."""
    if is_url(name):
        return spelled(name)
    base = os.fspath(folder)
    return f"{spelled(base).rstrip('/')}/{name}" if is_url(base) else os.path.join(base, name)  # noqa: PTH118


def inside_of(address: str) -> tuple[str, str] | None:
    """The file that holds what an address names, and its place there; None where the address is a file of its own.

    A folder may be called `old.tar`, so the disk is asked.
    """
    for found in _INSIDE.finditer(address):
        file, place = address[: found.end() - 1], address[found.end() :]
        if place and (is_url(file) or not os.path.isdir(file)):  # noqa: PTH112
            return file, place
    return None


def is_remote(address: str | os.PathLike[str]) -> bool:
    """Whether what an address names is anything but a file or folder of its own on this disk."""
    text = os.fspath(address)
    return is_url(text) or (_INSIDE.search(text) is not None and inside_of(text) is not None)


def suffix(address: str | os.PathLike[str]) -> str:
    """What the name of a file ends in, in lower case."""
    return PurePath(os.fspath(address)).suffix.lower()
