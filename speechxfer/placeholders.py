"""What stands in the place of a file that was not fetched: a pointer of Git LFS, or a web page that asks to sign in."""

from __future__ import annotations

_LFS = b"version https://git-lfs"
_WEB_PAGES = (b"<!doctype html", b"<html")

#: Bytes of a file's beginning that are enough to tell.
ENOUGH = max(map(len, (_LFS, *_WEB_PAGES)))
#: Bytes that no pointer of Git LFS has; they have about 130.
LARGEST_POINTER = 1024


def placeholder(head: bytes) -> str | None:
    """What a file is instead of itself, with what to do, as the end of a sentence that begins with its path.

    Args:
        head: the beginning of the file, at least `ENOUGH` bytes of it.

    Returns:
        None for a file that looks like one of its own.
    """
    if head.startswith(_LFS):
        return "is a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`, or download it again"
    if head.lower().startswith(_WEB_PAGES):
        return "is a web page, not the file itself; download the file again, signed in where that is needed"
    return None
