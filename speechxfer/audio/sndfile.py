"""Files that libsndfile reads: uncompressed sound and flac, whose headers state how long they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import soundfile as sf

from speechxfer.audio.pieces import CHUNK, Piece, Reader, check_header, trimmed
from speechxfer.errors import AudioError, TruncatedAudioError

#: Codecs in which libsndfile finds every sample. In the others (G.721 and its kin) it loses its way when it seeks.
_SEEKABLE = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "ALAC_")


class SoundFileReader:
    """A file open in libsndfile; see `pieces.Reader`.

    Args:
        sound: closed by whoever opened it.
        name: in messages.
        fraction: of the sound that the header promises, how much is in the file.
        instead: opens the same file in FFmpeg, which goes on where libsndfile finds damage.

    Raises:
        AudioError: no recording has such a rate, or so many channels.
    """

    lost_s = packet_s = 0.0

    def __init__(self, sound: sf.SoundFile, name: str, fraction: float, instead: Callable[[], Reader]) -> None:
        check_header(name, sound.samplerate, sound.channels)
        self._sound, self.name, self._instead = sound, name, instead
        self.rate: int = sound.samplerate
        self.channels: int = sound.channels
        self.promised_s: float | None = self.length_s() / max(fraction, 1e-9)

    def length_s(self) -> float:
        """Of what is there."""
        return float(self._sound.frames / self.rate)

    def pieces(self, first_s: float, stop_s: float | None) -> Iterator[Piece]:
        """What is asked for, or all that is before it as well."""
        at, frames = round(first_s * self.rate), self._sound.frames
        at = at if self._sound.seekable() and self._sound.subtype.startswith(_SEEKABLE) else 0
        stop = frames if stop_s is None else min(frames, round(stop_s * self.rate))
        try:
            if 0 < at < stop:
                self._sound.seek(at)
            while at < stop:
                samples = self._sound.read(min(CHUNK // self.channels, stop - at), "float32", always_2d=True)
                if not len(samples):
                    return
                yield Piece(at, self.rate, samples)
                at += len(samples)
        except sf.LibsndfileError as error:
            try:
                instead = self._instead()
            except AudioError:
                raise TruncatedAudioError(f"{self.name}: damaged after {at / self.rate:.2f} s ({error}).") from error
            yield from trimmed(instead.pieces(at / self.rate, stop_s), at / self.rate, stop_s)
            self.lost_s = instead.lost_s
