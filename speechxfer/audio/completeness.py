"""Whether all of a file's sound is there.

**A file that is a little shorter than it should be is used, and reported.** A tenth of what is wanted may be missing,
or half a second where that is at most a quarter of it; damaged packets count as missing. What is wanted is the length
that the file's header promises, or the excerpt that was asked for. Whatever lacks more is refused as cut short: half a
download is another recording, and the transcript of the whole does not belong to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from speechxfer.audio.options import Choice, Notice
from speechxfer.audio.pieces import Piece, Reader
from speechxfer.errors import AudioError, TruncatedAudioError

#: Headers, manifests and time stamps are rounded: up to this, or up to two packets, is no difference.
_ROUNDING_S, _MOST_PACKETS_S = 0.1, 0.2
_LITTLE = 0.1
_COPY_AGAIN = "copy or download the file again"
_LITTLE_S, _LITTLE_OF_SHORT = 0.5, 0.25


def is_little(missing_s: float, wanted_s: float) -> bool:
    """Whether what is missing leaves a recording that can be used."""
    return missing_s <= max(_LITTLE * wanted_s, min(_LITTLE_S, _LITTLE_OF_SHORT * wanted_s))


def completed(
    pieces: Iterable[Piece], reader: Reader, first_s: float, stop_s: float | None, choice: Choice
) -> Iterator[Piece]:
    """The same pieces of a file between two times; whether they are all is judged when they end.

    Raises:
        AudioError: much less sound than the excerpt, or any less with `strict`.
        TruncatedAudioError: that, of what the header promises.
    """
    end_s = None
    for piece in pieces:
        end_s = piece.stop / piece.rate
        yield piece
    judge(reader, first_s, end_s, stop_s, choice)


def judge(reader: Reader, first_s: float, end_s: float | None, stop_s: float | None, choice: Choice) -> None:
    """Compare where sound ended (None: there was none) with where it should: at `stop_s`, or at the end of the file."""
    rounding_s = _ROUNDING_S + min(2 * reader.packet_s, _MOST_PACKETS_S)
    last_s = stop_s if stop_s is not None else reader.promised_s
    wanted_s = max(0.0, (last_s or 0.0) - first_s, (end_s or 0.0) - first_s if stop_s is None else 0.0)
    there_s = 0.0 if end_s is None else max(0.0, end_s - first_s - reader.lost_s)
    has_none = end_s is None and (first_s > 0 or stop_s is not None)
    if wanted_s - there_s <= rounding_s and not has_none:
        return
    is_outside = stop_s is not None and (reader.promised_s is None or stop_s > reader.promised_s + rounding_s)
    is_outside |= first_s > 0 and has_none
    what = _outside(reader, first_s, end_s, stop_s) if is_outside else _cut_short(wanted_s, there_s)
    if there_s and is_little(wanted_s - there_s, wanted_s) and not choice.strict:
        choice.notify(Notice("short", reader.name, f"{what}; what is there is used"))
        return
    remedy = "correct start and duration, or check that this is the right file" if is_outside else _COPY_AGAIN
    kind = AudioError if is_outside else TruncatedAudioError
    raise kind(f"{reader.name}: {what}; {remedy}.")


def report_end(name: str, choice: Choice) -> None:
    """Report a file that is cut short by an unknown amount; it is used unless `strict`."""
    what = "cut short: it ends in the middle of a page"
    if choice.strict:
        raise TruncatedAudioError(f"{name}: {what}; {_COPY_AGAIN}.")
    choice.notify(Notice("short", name, f"{what}; what is there is used"))


def _cut_short(wanted_s: float, there_s: float) -> str:
    return f"cut short or damaged: its header promises {wanted_s:.2f} s of sound, {there_s:.2f} s can be read"


def _outside(reader: Reader, first_s: float, end_s: float | None, stop_s: float | None) -> str:
    length_s = reader.length_s() if end_s is None else end_s
    wanted = f"from {first_s:.3f} s to " + ("the end" if stop_s is None else f"{stop_s:.3f} s")
    return f"the file is {length_s:.3f} s long, but an excerpt {wanted} is wanted"
