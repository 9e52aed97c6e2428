from __future__ import annotations

import os
import pickle
import struct
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from speechxfer.audio import load
from speechxfer.recordings import search

SOUND = np.random.default_rng(0).normal(0, 0.1, 16_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "rec"
    folder.mkdir()
    return folder


def names(paths: list[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def write_mp3(path: Path, format: str) -> None:  # noqa: A002
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream("libmp3lame", rate=16_000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray((SOUND[None] * 20_000).astype(np.int16), format="s16p", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_a_file_with_sound_is_a_recording_whatever_it_is_called(folder: Path) -> None:
    sf.write(folder / "a.wav", SOUND, 16_000)
    for name in ("b.dat", "c", "d.unknown"):
        sf.write(folder / name, SOUND, 16_000, format="WAV")
    write_mp3(folder / "e.bin", "mp3")
    write_mp3(folder / "f.film", "matroska")
    found = search(folder)
    assert names(found.recordings, folder) == ["a.wav", "b.dat", "c", "d.unknown", "e.bin", "f.film"]
    assert found.skipped == []


def test_a_file_that_is_called_a_recording_is_one_even_if_it_is_damaged(folder: Path) -> None:
    (folder / "empty.wav").touch()
    (folder / "text.mp3").write_text("not found")
    assert names(search(folder).recordings, folder) == ["empty.wav", "text.mp3"]


def test_text_beside_recordings_is_passed_over_and_other_files_are_listed(folder: Path) -> None:
    sf.write(folder / "a.wav", SOUND, 16_000)
    for name in ("a.txt", "a.json", "a.srt", "README", "a.TextGrid"):
        (folder / name).write_text("Grüße, 你好\n" * 1000)
    (folder / "empty").touch()
    (folder / "b.txt").write_text("é", encoding="utf-16")
    (folder / "weights.bin").write_bytes(struct.pack("<4096f", *np.linspace(-1, 1, 4096)))
    (folder / "state.pkl").write_bytes(pickle.dumps({"a": list(range(3000))}))
    np.save(folder / "array.npy", np.arange(9999))
    with zipfile.ZipFile(folder / "archive.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    found = search(folder)
    assert names(found.recordings, folder) == ["a.wav"]
    assert names(found.skipped, folder) == ["archive.zip", "array.npy", "state.pkl", "weights.bin"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=3000))
def test_any_bytes_are_looked_at_without_an_error(folder: Path, content: bytes) -> None:
    (folder / "thing").write_bytes(content)
    assert search(folder).recordings == []


def test_hidden_files_and_folders_are_passed_over(folder: Path) -> None:
    (folder / ".git").mkdir()
    for name in ("a.wav", "._a.wav", ".git/b.wav"):
        (folder / name).touch()
    assert names(search(folder).recordings, folder) == ["a.wav"]


def test_folders_behind_links_belong_to_it_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (tmp_path / "disk" / "deep" / "b.wav").touch()
    (folder / "own").mkdir()
    (folder / "own" / "a.wav").touch()
    (folder / "around").symlink_to(folder)
    (folder / "again").symlink_to(folder / "own")
    (folder / "disk").symlink_to(tmp_path / "disk")
    (folder / "disk 2").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "back").symlink_to(folder)
    (tmp_path / "disk" / "up").symlink_to(tmp_path)
    found = names(search(folder).recordings, folder)
    assert [Path(name).name for name in found] == ["b.wav", "a.wav"]
    assert found[1] == "own/a.wav"


def test_a_folder_that_cannot_be_opened_is_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "closed").mkdir()
    (folder / "a.wav").touch()
    real = __import__("os").scandir

    def scandir(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", scandir)
    found = search(folder)
    assert (names(found.recordings, folder), names(found.skipped, folder)) == (["a.wav"], ["closed"])


@pytest.mark.parametrize("format_", ["WAV", "FLAC", "MP3", "OGG"])
def test_a_recording_with_a_name_of_any_bytes_can_be_read(folder: Path, format_: str) -> None:
    path = folder / os.fsdecode(b"caf\xe9 \xff." + format_.lower().encode())
    sf.write(folder / "plain", SOUND, 16_000, format=format_)
    (folder / "plain").rename(path)
    assert search(folder).recordings == [path]
    assert len(load(path)) >= 16_000
