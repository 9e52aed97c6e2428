"""Detect placeholders of files that were not downloaded: a pointer of Git LFS, or a login page."""

from __future__ import annotations

_LFS = b"version https://git-lfs"
_WEB_PAGES = (b"<!doctype html", b"<html")

#: Bytes at the beginning of a file that `placeholder` needs.
ENOUGH = max(map(len, (_LFS, *_WEB_PAGES)))
#: Most bytes of a pointer of Git LFS, which usually has about 130.
LARGEST_POINTER = 1024


def placeholder(head: bytes) -> str | None:
    """Describe a placeholder and its remedy, to follow the path in a message.

    Args:
        head: at least the first `ENOUGH` bytes of the file.

    Returns:
        None if the file is not a placeholder.
    """
    if head.startswith(_LFS):
        return "is a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`, or download it again"
    if head.lower().startswith(_WEB_PAGES):
        return "is a web page, not the file itself; sign in if necessary, and download the file again"
    return None
