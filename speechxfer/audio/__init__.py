"""Sound from files, bytes and arrays: everything becomes mono float32 at 16 kHz here, and nowhere else.

libsndfile reads uncompressed sound and flac; all the rest (mp3, ogg, m4a, webm, amr, films) goes to FFmpeg through
PyAV. Nothing here knows of manifests, batches or models. The rules:

- **All of a file is read**, however long it claims to be, and what was joined to it (`links`).
- **A file that is a little shorter than it should be is used, and reported**; what lacks more is refused
  (`completeness`).
- **Times count from the beginning of the container**, so that they fit the picture of a film; pauses become silence,
  so that later times are right (`ffmpeg`, `clock`).
- **No sound is averaged away** where there are several channels (`mixing`). One channel can be chosen, and one of
  several audio streams (`Options`).
- **Headers that no recording has are refused**: rates beyond 2 kHz to 1 MHz, more than 64 channels (`pieces`); and so
  are floats that are scaled as integers (`resampling`).
"""

from speechxfer.audio.arrays import from_array
from speechxfer.audio.memory import ArraySource, source_of
from speechxfer.audio.opening import Source, is_file
from speechxfer.audio.options import Notice, Options
from speechxfer.audio.pieces import SAMPLE_RATE, Waveform
from speechxfer.audio.reading import AudioInfo, as_stored, blocks, info, load
from speechxfer.audio.suffixes import AUDIO_SUFFIXES

__all__ = [
    "AUDIO_SUFFIXES",
    "SAMPLE_RATE",
    "ArraySource",
    "AudioInfo",
    "Notice",
    "Options",
    "Source",
    "Waveform",
    "as_stored",
    "blocks",
    "from_array",
    "info",
    "is_file",
    "load",
    "source_of",
]
