"""Files that FFmpeg reads, through PyAV: compressed sound, sound of films, and damaged files.

What FFmpeg says of a length is taken for a promise only where the container states it (mp4, Matroska, mp3 with a Xing
header and a few others); elsewhere it is a guess from a bit rate, and the packets are counted instead.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from speechxfer.audio import formats, headers
from speechxfer.audio.clock import Clock
from speechxfer.audio.decoding import Pass, aligned, duration_s, faults, samples_of
from speechxfer.audio.files import Quiet
from speechxfer.audio.options import Choice, Notice
from speechxfer.audio.pieces import Piece, check_header, in_chunks
from speechxfer.errors import AudioError
from speechxfer.extras import is_installed, remedy

#: Decoders need a few packets before the first wanted one to sound as in a full run.
_PREROLL_S = 0.5
#: The part of it whose time stamps give the position in the file.
_ALIGNED_S = 0.4
#: A Matroska file's duration counts from 0 or from its first time stamp; which one is unknown if that is later.
_LATE_S = 0.5
#: A header that states more than this is not believed, but looked after.
_ONE_DAY_S = 86_400.0
#: A clock that is set by less than this is not worth a word.
_JUMP_S = 1.0


class AvReader:
    """A file open in FFmpeg; see `pieces.Reader`.

    Times count from the beginning of the container: the first picture, or the first sound where that comes first. So
    subtitles fit a film whose sound begins late. Where there is no picture, they count from the first sound that is
    decoded, without what an encoder put before it.

    Args:
        stack: closes it.
        file: seekable, from its beginning.
        name: in messages.
        seen: what the file looks like, for the message if it is no audio.
        choice: which stream to read.
        fraction: of the bytes that the header promises, how many are there.

    Raises:
        AudioError: it is not audio, has no stream that can be decoded, or PyAV is not installed.
    """

    def __init__(
        self, stack: contextlib.ExitStack, file: BinaryIO, name: str, seen: str, choice: Choice, fraction: float = 1.0
    ) -> None:
        if not is_installed("av"):
            raise AudioError(f"{name}: only FFmpeg can read it ({seen}), but {remedy('av')}, or convert it to wav or flac.")  # fmt: skip  # noqa: E501
        self.name, self._file, self._choice = name, file, choice
        self._size = file.seek(0, os.SEEK_END)
        self._xing = headers.xing(file, self._size)  # before FFmpeg reads, which minds where the file stands
        self._container: Any = None
        self._number: int | None = None
        self.packet_s = self._missing_s = 0.0
        stack.callback(self._close)
        try:
            self._open()
        except faults() as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            advice = "convert it to wav or flac"
            raise AudioError(f"{name}: not readable as audio: {seen} ({reason}); {advice}.") from error
        self._choose(seen)
        frames = self._begin()
        first = next(frames, None)
        self.rate: int = first.sample_rate if first else self._stream.rate
        self.channels: int = first.layout.nb_channels if first else self._stream.codec_context.channels
        check_header(name, self.rate, self.channels)
        self._fresh: Iterator[Any] | None = itertools.chain([first] if first else [], frames)
        self._origin_s = self._origin(first)
        self.promised_s = self._promised_s()
        if fraction < 1:
            self.promised_s = self.length_s() / fraction

    @property
    def lost_s(self) -> float:
        """Of packets that could not be decoded, and of missing pages."""
        return self._pass.lost_s + self._missing_s

    def length_s(self) -> float:
        """What is stated, or what the packets add up to."""
        stated_s = self._stated_s()
        if stated_s is not None and 0 < stated_s < _ONE_DAY_S:
            return stated_s
        self._open()
        if self._format in formats.UNCOUNTED:
            return math.fsum(frame.samples / frame.sample_rate for frame in self._begin())
        packets = (packet for packet in Pass(self._container, self._stream, self._file).packets() if packet.size)
        if self._format == "aac":
            return math.fsum(headers.adts_s(bytes(packet)) for packet in packets)
        return self._counted_s(packets)

    def _counted_s(self, packets: Iterator[Any]) -> float:
        """What packets add up to, or their time stamps, which are rounded less where both are right."""
        clock = Clock(0, self.rate, self._stamps)
        end_s = total_s = last_s = 0.0
        for packet in packets:
            if packet.pts is not None:
                stamp = packet.pts * self._base_s - self._origin_s
                if clock.at or stamp > 0:  # priming has stamps below
                    clock.place(stamp, self.rate)
                clock.at = round((stamp - clock.ahead_s) * self.rate)
            last_s = duration_s(packet)
            clock.advance(round(last_s * self.rate))
            end_s, total_s = max(end_s, clock.now_s), total_s + last_s
        if self._stream.codec_context.name in formats.HOLDING_BACK:
            end_s += last_s
        return end_s if end_s > total_s / 2 else total_s  # in some formats all time stamps are 0

    def pieces(self, first_s: float, stop_s: float | None) -> Iterator[Piece]:
        """Sound from a little before `first_s`, reached by seeking where that can be relied on."""
        return in_chunks(self._placed(*self._from(first_s), math.inf if stop_s is None else stop_s), self.name)

    # Opening

    def _open(self) -> None:
        """Open the file at its beginning, which works for all formats; seeking to it does not."""
        import av

        self._close()
        self._fresh = None
        self._file.seek(0)
        # No protocol: a playlist posing as audio must not make FFmpeg open other files or addresses.
        options = {"protocol_whitelist": "none", "format_whitelist": formats.READ}
        self._container = av.open(Quiet(self._file, self.name), options=options, metadata_errors="ignore")
        self._format: str = self._container.format.name
        self._stamps = formats.stamps(self._container.format)
        if self._number is not None:
            self._stream = self._container.streams.audio[self._number]

    def _close(self) -> None:
        if self._container is not None:
            self._container.close()
        self._container = None

    def _choose(self, seen: str) -> None:
        """Take the stream that is wanted, or the best."""
        streams = list(self._container.streams.audio)
        wanted = self._choice.stream
        if wanted is not None and not 0 <= wanted < len(streams):
            there = f"the file has {len(streams)}, counted from 0"
            raise AudioError(f"{self.name}: audio stream {wanted} is wanted; {there}.")
        usable = [stream for stream in streams if stream.codec_context and stream.rate]
        best = self._container.streams.best("audio") if wanted is None else streams[wanted]
        if wanted is None and best not in usable:
            best = next(iter(usable), None)
        if best not in usable:
            found = ", ".join(stream.type for stream in self._container.streams) or "no stream"
            advice = "choose a file with sound"
            raise AudioError(f"{self.name}: no audio stream to decode (found: {found}; {seen}); {advice}.")
        self._stream, self._number = best, streams.index(best)
        self._base_s = float(best.time_base)
        if len(streams) > 1 and wanted is None:
            listed = ", ".join(f"{number} ({_described(stream)})" for number, stream in enumerate(streams))
            what = f"{len(streams)} audio streams: {listed}; {self._number} is read: choose another by its number"
            self._choice.notify(Notice("streams", self.name, what))

    # Lengths and times

    def _origin(self, first: Any) -> float:
        """The time stamp that counts as 0 s."""
        self._origin_s = 0.0
        own = (self._time_s(first) if first else None) or 0.0
        if self._stamps == "none":
            return own
        if self._format == "ogg":  # whose first packets FFmpeg may place too late, where there is one page only
            own = min(own, float((self._stream.start_time or 0) * self._stream.time_base))
        others = [stream for stream in self._container.streams if stream is not self._stream and _keeps_time(stream)]
        return min([own, *(float(stream.start_time * stream.time_base) for stream in others)])

    def _time_s(self, frame: Any) -> float | None:
        """Where a frame begins, by its time stamp."""
        return None if frame.pts is None else frame.pts * self._base_s - self._origin_s

    def _promised_s(self) -> float | None:
        container, stream = self._container, self._stream
        if self._format == "mp3":
            return self._xing.length_s if self._xing else None
        if self._format in formats.STATING and stream.duration:
            end = (stream.start_time or 0) + stream.duration
            return max(0.0, float(end * stream.time_base) - self._origin_s)
        # Of Matroska the duration is that of all streams, and the picture may outlast the sound.
        if self._format.startswith("matroska") and container.duration and len(container.streams) == 1:
            stated = float(container.duration) / 1e6
            return stated - self._origin_s if stated > self._origin_s else stated
        return None

    def _stated_s(self) -> float | None:
        """A length that needs no counting."""
        if self._format == "ogg" and self._stream.duration:
            # The number of its last page, from which players of Opus leave out what its header says.
            extra = self._stream.codec_context.extradata or b""
            skipped = int.from_bytes(extra[10:12], "little") / 48_000 if extra.startswith(b"OpusHead") else 0.0
            end = (self._stream.start_time or 0) + self._stream.duration
            return float(end * self._base_s - self._origin_s - skipped)
        is_late = self._format.startswith("matroska") and self._origin_s >= _LATE_S
        is_of_a_part = self._format == "mp3" and not (self._xing and self._xing.is_whole)
        return None if is_late or is_of_a_part else self.promised_s

    # Decoding

    def _begin(self) -> Iterator[Any]:
        """Frames from where the container stands."""
        self._pass = Pass(self._container, self._stream, self._file)
        return self._pass.frames()

    def _from(self, first_s: float) -> tuple[Iterator[Any], float]:
        """Frames from before `first_s`, and when the first of them begins."""
        target_s = first_s - _PREROLL_S
        if target_s > 0 and self._format not in formats.UNCOUNTED:
            with contextlib.suppress(*faults()):
                self._fresh = None
                stamp = (target_s + self._origin_s) / self._stream.time_base
                self._container.seek(round(stamp), stream=self._stream)
                frames, begins_s = aligned(self._begin(), self.rate, _ALIGNED_S)
                if begins_s is not None and 0 < begins_s - self._origin_s <= first_s:
                    return frames, begins_s - self._origin_s
        if self._fresh is None:
            self._open()
        frames, self._fresh = self._fresh or self._begin(), None
        first = next(frames, None)
        begins_s = 0.0 if first is None or self._stamps == "none" else max(0.0, self._time_s(first) or 0.0)
        return itertools.chain([first] if first else [], frames), begins_s if begins_s < _ONE_DAY_S else 0.0

    def _placed(self, frames: Iterable[Any], begins_s: float, stop_s: float) -> Iterator[Piece]:
        """Frames with their times, up to the first that begins after `stop_s`."""
        clock = Clock(round(begins_s * self.rate), self.rate, self._stamps)
        last: Piece | None = None
        for frame in frames:
            if last:
                yield last
            if frame.sample_rate != clock.rate:
                check_header(self.name, frame.sample_rate, self.channels)
            paused_s = clock.place(self._time_s(frame), frame.sample_rate)
            if self._format in formats.WITHOUT_PAUSES:
                self._missing_s += paused_s
            last = Piece(clock.at, clock.rate, samples_of(frame, self.name))
            clock.advance(frame.samples)
            self.packet_s = max(self.packet_s, frame.samples / clock.rate)
            if clock.now_s >= stop_s:
                yield last
                return
        if last:
            yield self._without_padding(last)
        self._finish(clock)

    def _without_padding(self, last: Piece) -> Piece:
        """The last packet up to the end that is stated; encoders fill it up with silence."""
        stop_s = self.promised_s if self._format in formats.STATING else None
        length = len(last.samples) if stop_s is None else round(stop_s * last.rate) - last.start
        return last._replace(samples=last.samples[:length]) if length > 0 else last

    def _finish(self, clock: Clock) -> None:
        """What is known at the end of the file: how much more it should have held, and whether its clock was set."""
        if self._pass.broken_at:
            self.promised_s = max(self.promised_s or 0.0, clock.now_s * self._size / self._pass.broken_at)
        elif self.promised_s is None and self._pass.trailing_s:
            self.promised_s = clock.now_s + self._pass.trailing_s
        if self.promised_s is not None:
            self.promised_s -= max(0.0, clock.ahead_s)
        if abs(clock.ahead_s) >= _JUMP_S:
            what = f"its time stamps jump by {clock.ahead_s:.1f} s, as if a clock was set; the sound there is joined"
            self._choice.notify(Notice("clock", self.name, what))


def _keeps_time(stream: Any) -> bool:
    """Whether a stream's beginning is one of the container: sound and moving pictures, not covers or subtitles."""
    import av

    still = stream.disposition & av.stream.Disposition.attached_pic
    return stream.start_time is not None and stream.type in ("audio", "video") and not still


def _described(stream: Any) -> str:
    """Its language and channels, as far as they are known."""
    language, context = stream.metadata.get("language"), stream.codec_context
    channels = f"{context.channels} channel{'s' * (context.channels != 1)}" if context else "cannot be decoded"
    return f"{language}, {channels}" if language and language != "und" else channels
