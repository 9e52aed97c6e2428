"""What a header claims of the length: placeholders, guesses, absurd numbers, and files that are cut short."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer import audio
from speechxfer.audio.completeness import is_little
from speechxfer.audio.headers import ends_in_a_page
from speechxfer.errors import AudioError, TruncatedAudioError
from tests.audio.sounds import SOUNDFILE, encode, noise, peak_hz, tone, wav_bytes, write

#: Where the size of the data stands in a file, by what is before it, and how it is written.
SIZES = {
    "WAV": (b"data", "<I"),
    "AIFF": (b"SSND", ">I"),
    "AU": (b".snd\x00\x00\x00\x18", ">I"),
    "W64": (b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a", "<Q"),
    "RF64": (b"ds64\x1c\x00\x00\x00" + struct.pack("<Q", 96_096), "<Q"),
    "CAF": (b"data", ">Q"),
}


def with_size(format_: str, size: int, seconds: float = 3.0) -> bytes:
    """A file of so many seconds whose header claims another size."""
    content = wav_bytes(tone(440, seconds), format=format_)
    before, kind = SIZES[format_]
    if format_ == "RF64":
        before = before[:8] + struct.pack("<Q", len(content) - 8)
    at = content.index(before) + len(before)
    return content[:at] + struct.pack(kind, size) + content[at + struct.calcsize(kind) :]


# Placeholders


@pytest.mark.parametrize(
    ("format_", "size"),
    [
        *(("WAV", size) for size in (0, 0x7FFF_FFFF, 0x7FFF_F000, 0x8000_0000, 0xFFFF_FFFF, 2_000_000_000, 1 << 30)),
        *(("AIFF", size) for size in (0, 0xFFFF_FFFF, 1_000_000_000)),
        *(("AU", size) for size in (0, 0xFFFF_FFFF)),
        *(("W64", size) for size in (0, 24, (1 << 63) - 1, (1 << 64) - 1)),
        *(("RF64", size) for size in (0, (1 << 63) - 1, (1 << 64) - 1)),
        *(("CAF", size) for size in (0, (1 << 63) - 1, (1 << 64) - 1)),
    ],
)
def test_a_placeholder_is_no_length(tmp_path: Path, format_: str, size: int) -> None:
    path = tmp_path / "streamed"
    path.write_bytes(with_size(format_, size))
    for source in (path, path.read_bytes()):
        assert len(audio.load(source, strict=True)) == 48_000
        assert audio.info(source, strict=True).duration == pytest.approx(3.0)
        assert len(audio.load(source, start=1, duration=1)) == 16_000


@pytest.mark.parametrize("size", [96_000 * 2, 500_000_007, 3_111_222_334])
def test_other_numbers_are_lengths(size: int) -> None:
    with pytest.raises(TruncatedAudioError, match=r"3\.00 s can be read"):
        audio.load(with_size("WAV", size))


def test_a_streamed_flac_is_read_to_its_end() -> None:
    content = bytearray(wav_bytes(tone(440, 2), format="FLAC"))
    content[21] &= 0xF0  # STREAMINFO's count of samples, 36 bits: 0 stands for unknown
    content[22:26] = bytes(4)
    assert len(audio.load(bytes(content))) == 32_000
    assert audio.info(bytes(content)).duration == pytest.approx(2.0)
    assert len(audio.load(bytes(content), start=0.5, duration=1)) == 16_000


def test_a_live_recording_without_duration_is_measured(tmp_path: Path) -> None:
    path = encode(tmp_path / "live.webm", noise(3, 48_000), 48_000, live="1")
    assert audio.info(path).duration == pytest.approx(3.0, abs=0.05)
    assert len(audio.load(path, start=2, duration=0.5)) == 8_000


# Variable bit rates


def vbr_mp3(samples: np.ndarray, *, xing: bool, frames: int | None = None) -> bytes:
    """An mp3 of variable bit rate, with its first frame, which states the length, or as encoders write to a pipe."""
    file = io.BytesIO()
    described = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "VARIABLE", "compression_level": 0.5}
    sf.write(file, samples, 16_000, **described)
    content = bytearray(file.getvalue())
    at = content.index(b"Xing") if b"Xing" in content else content.index(b"Info")
    if frames is not None:
        content[at + 8 : at + 12] = struct.pack(">I", frames)
    sync = bytes(content[:2])
    return bytes(content if xing else content[content.index(sync, at) :])


@pytest.mark.parametrize("loud_first", [True, False])
def test_a_varying_bit_rate_does_not_bend_the_length(tmp_path: Path, loud_first: bool) -> None:
    parts = [noise(2, level=0.2), noise(10, level=0.0005)]
    samples = np.concatenate(parts if loud_first else parts[::-1])
    for content in (vbr_mp3(samples, xing=False), encode(tmp_path / "sound.aac", samples, 16_000).read_bytes()):
        assert len(audio.load(content)) / 16_000 == pytest.approx(12, abs=0.15)
        assert audio.info(content).duration == pytest.approx(12, abs=0.15)
        assert len(audio.load(content, start=11, duration=0.5)) == 8_000


def test_an_mp3_is_as_long_as_its_sound(tmp_path: Path) -> None:
    for rate in (44_100, 22_050, 8_000):
        path = tmp_path / f"{rate}.mp3"
        sf.write(path, noise(3, rate), rate)
        assert len(audio.load(path)) == 48_000
        assert audio.info(path).duration == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("frames", [0x7FFF_FFFF, 100_000])
def test_an_mp3_that_claims_hours_ends_with_one_line(frames: int) -> None:
    with pytest.raises(TruncatedAudioError, match="cut short"):
        audio.load(vbr_mp3(noise(4), xing=True, frames=frames))


# Cut short


@given(wanted=st.floats(0.01, 1e4), share=st.floats(0, 1))
def test_a_little_is_less_than_a_quarter(wanted: float, share: float) -> None:
    missing = share * wanted
    assert is_little(missing, wanted) <= (share <= 0.25 + 1e-9)
    assert is_little(missing, wanted) >= (share <= 0.1 - 1e-9)
    assert is_little(missing, wanted) <= (missing <= max(0.5, 0.1 * wanted) + 1e-9)


CUT = ["wav", "aiff", "au", "w64", "caf", "sph", "flac", "mp3", "mp4", "mka", "wma"]


def cut(folder: Path, kind: str, share: float, seconds: float = 8.0) -> Path:
    """The first part of a file."""
    whole, path = folder / f"whole.{kind}", folder / f"cut.{kind}"
    rate = 44_100
    if kind in ("mp4", "mka", "wma"):
        # The index first, so that half a file opens.
        encode(whole, noise(seconds, rate), rate, **({"movflags": "faststart"} if kind == "mp4" else {}))
    else:
        described = {"sph": {"format": "NIST"}}.get(kind, SOUNDFILE.get(kind, {}))
        sf.write(whole, noise(seconds, rate), rate, **described)
    content = whole.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    return path


@pytest.mark.parametrize("kind", CUT)
def test_a_file_a_little_short_is_used_and_reported(tmp_path: Path, kind: str) -> None:
    path = cut(tmp_path, kind, 0.95)
    notices: list[audio.Notice] = []
    waveform = audio.load(path, notify=notices.append)
    assert 7.3 < len(waveform) / 16_000 < 7.95
    assert [(notice.kind, notice.name) for notice in notices] == [("short", str(path))]
    assert str(notices[0]).startswith(f"{path}: cut short or damaged: its header promises ")
    with pytest.raises(TruncatedAudioError, match=f"^{path}: cut short"):
        audio.load(path, strict=True)
    notices.clear()
    assert sum(map(len, audio.blocks(path, notify=notices.append))) == len(waveform)
    assert len(notices) == 1


@pytest.mark.parametrize("kind", CUT)
def test_half_a_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = cut(tmp_path, kind, 0.5)
    with pytest.raises(TruncatedAudioError, match=rf"^{path}: cut short .* copy or download the file again\.$"):
        audio.load(path)
    with pytest.raises(TruncatedAudioError, match="cut short"):
        list(audio.blocks(path))


@pytest.mark.parametrize("suffix", ["ogg", "opus", "oga"])
@pytest.mark.parametrize("share", [0.95, 0.5])
def test_an_ogg_that_ends_in_a_page_is_reported(tmp_path: Path, suffix: str, share: float) -> None:
    """How much is missing nobody knows."""
    path = write(tmp_path, suffix, noise(8, 48_000), 48_000)
    notices: list[audio.Notice] = []
    audio.load(path, strict=True, notify=notices.append)
    assert not notices
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    assert 0 < len(audio.load(path, notify=notices.append)) < 8 * 16_000
    assert [notice.kind for notice in notices] == ["short"]
    with pytest.raises(TruncatedAudioError, match="in the middle of a page"):
        audio.load(path, strict=True)


@pytest.mark.parametrize("kind", ["wav", "aiff", "w64"])
def test_what_a_header_shows_is_found_without_decoding(tmp_path: Path, kind: str) -> None:
    notices: list[audio.Notice] = []
    assert audio.info(cut(tmp_path, kind, 0.95), notify=notices.append).duration == pytest.approx(7.6, abs=0.01)
    assert [notice.kind for notice in notices] == ["short"]
    with pytest.raises(TruncatedAudioError):
        audio.info(cut(tmp_path, kind, 0.5))
    with pytest.raises(TruncatedAudioError):
        audio.info(cut(tmp_path, kind, 0.95), strict=True)


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0.3, 1.0), start=st.floats(0, 6), duration=st.floats(0.5, 2))
def test_an_excerpt_is_judged_by_itself(
    tmp_path_factory: pytest.TempPathFactory, share: float, start: float, duration: float
) -> None:
    """Whether a line's excerpt can be used depends on the sound of the excerpt alone."""
    path = cut(tmp_path_factory.mktemp("cut"), "flac", share)
    notices: list[audio.Notice] = []
    try:
        length = len(audio.load(path, start=start, duration=duration, notify=notices.append)) / 16_000
    except AudioError:
        return
    assert duration - length <= max(0.1, 0.1 * duration, min(0.5, 0.25 * duration)) + 1e-3
    assert bool(notices) == (duration - length > 0.1 + 1e-4) or abs(duration - length - 0.1) < 1e-3


def test_an_excerpt_a_little_beyond_the_end_is_used_and_reported() -> None:
    notices: list[audio.Notice] = []
    content = wav_bytes(tone(440, 3))
    assert len(audio.load(content, start=1, duration=2.15, notify=notices.append)) == 32_000
    assert "3.000 s long, but an excerpt from 1.000 s to 3.150 s" in str(notices[0])
    with pytest.raises(AudioError, match="correct start and duration"):
        audio.load(content, start=1, duration=2.15, strict=True)


@pytest.mark.parametrize("suffix", ["mp3", "flac", "ogg"])
def test_damage_in_the_middle_is_reported(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix, noise(12), 16_000)
    content = bytearray(path.read_bytes())
    at = len(content) // 2
    content[at : at + 1_500] = bytes(1_500)
    path.write_bytes(content)
    notices: list[audio.Notice] = []
    length = len(audio.load(path, notify=notices.append)) / 16_000
    assert 11 < length < 12.1
    assert [notice.kind for notice in notices] == ["short"]
    with pytest.raises(TruncatedAudioError, match="damaged"):
        audio.load(path, strict=True)
    content[at : at + len(content) // 4] = bytes(len(content) // 4)
    path.write_bytes(content)
    with pytest.raises(TruncatedAudioError, match="damaged"):
        audio.load(path)


@pytest.mark.parametrize("tail", [b"APETAGEX" + bytes(2_000), bytes(5_000), b"TAG" + b" " * 125])
def test_tags_at_the_end_of_an_mp3_are_not_missing_sound(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "tagged.mp3"
    sf.write(path, noise(3), 16_000)
    path.write_bytes(path.read_bytes() + tail)
    assert len(audio.load(path, strict=True)) / 16_000 == pytest.approx(3, abs=0.08)


# Absurd numbers


def wav_with(field: int, kind: str, value: int) -> bytes:
    content = bytearray(wav_bytes(tone(440, 1)))
    struct.pack_into(kind, content, field, value)
    return bytes(content)


@pytest.mark.parametrize("rate", [0, 1, 100, 1_999, 1_000_001, 4_000_000_000])
def test_rates_that_no_recording_has(rate: int) -> None:
    for read in (audio.load, audio.info, lambda it: list(audio.blocks(it))):
        with pytest.raises(AudioError, match=r"Hz|not readable"):
            read(wav_with(24, "<I", rate))
    with pytest.raises(AudioError, match=f"sample rate is {rate}"):
        audio.from_array(np.zeros(16_000, np.float32), rate)


@pytest.mark.parametrize("channels", [65, 255, 65_535])
def test_more_channels_than_any_recording_has(channels: int) -> None:
    content = bytearray(wav_with(22, "<H", channels))
    struct.pack_into("<H", content, 32, min(0xFFFF, 2 * channels))
    with pytest.raises(AudioError, match=r"channels|not readable"):
        audio.load(bytes(content))


def test_floats_of_a_file_that_are_scaled_as_integers() -> None:
    with pytest.raises(AudioError, match="divide by 32768"):
        audio.load(wav_bytes(20_000 * tone(440, 1), subtype="FLOAT"))
    assert peak_hz(audio.load(wav_bytes(3 * tone(440, 1), subtype="FLOAT"))) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("header", range(4, 28))
def test_an_ogg_file_may_end_within_the_header_of_a_page(header: int) -> None:
    page = b"OggS" + bytes(22) + b"\x01\x00"
    assert ends_in_a_page(io.BytesIO(page + page[:header]), len(page) + header)
