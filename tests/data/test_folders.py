"""Folders of recordings with transcripts beside them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from speechxfer.data.manifest import Manifest
from speechxfer.errors import DataError


def folder_of(root: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def texts(root: Path) -> dict[str, str | None]:
    return {one.audio: one.text for one in Manifest.from_folder(root)}


def test_transcripts_in_any_case(tmp_path: Path) -> None:
    files = {
        "SA1.WAV": b"",
        "SA1.TXT": "one",
        "b.wav": b"",
        "B.Lab": "two",
        "c.flac": b"",
        "c.txt": "three",
        "C.TXT": "x",
    }
    assert texts(folder_of(tmp_path, **files)) == {"SA1.WAV": "one", "b.wav": "two", "c.flac": "three"}


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("0 46797 She had your dark suit.\n", "She had your dark suit."),  # TIMIT: samples, then the sentence
        ("0 1200 she\n1200 4000 had\n", "she had"),
        ("0 1200 she\n900 4000 had\n", "0 1200 she 900 4000 had"),
        ("1 2 3", "1 2 3"),
        ("20 2000 euro", "20 2000 euro"),
        ("a\r\nb\r\n", "a b"),
    ],
)
def test_times_before_words_are_no_words(tmp_path: Path, written: str, text: str) -> None:
    assert texts(folder_of(tmp_path, **{"a.wav": b"", "a.txt": written})) == {"a.wav": text}


def test_transcripts_of_a_folder_in_one_file(tmp_path: Path) -> None:
    files = {"d__1-2-0.flac": b"", "d__1-2-1.flac": b"", "d__1-2.trans.txt": "1-2-0 GO ON\n1-2-1\n", "d__x.flac": b""}
    assert texts(folder_of(tmp_path, **files)) == {"d/1-2-0.flac": "GO ON", "d/1-2-1.flac": "", "d/x.flac": None}


def test_a_transcript_in_utf16(tmp_path: Path) -> None:
    assert texts(folder_of(tmp_path, **{"a.wav": b"", "a.txt": "\u00e9".encode("utf-16")})) == {"a.wav": "\u00e9"}


def test_a_pointer_of_git_lfs_is_no_transcript(tmp_path: Path) -> None:
    files = {"a.wav": b"", "a.txt": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"}
    with pytest.raises(DataError, match=r"a\.txt: is a pointer of Git LFS"):
        texts(folder_of(tmp_path, **files))


def test_links_are_followed_once(tmp_path: Path) -> None:
    folder_of(tmp_path, **{"far__a.wav": b"", "set__b.wav": b""})
    for name, target in {"link": "far", "twice": "far", "loop": "set", "up": "."}.items():
        (tmp_path / "set" / name).symlink_to(tmp_path / target)
    assert list(texts(tmp_path / "set")) == ["b.wav", "link/a.wav"]


def test_names_that_are_not_utf8_are_left_out_and_told(tmp_path: Path) -> None:
    folder_of(tmp_path, **{"a.wav": b""})
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")).touch()
    except OSError:
        pytest.skip("the file system takes no such name")
    messages: list[str] = []
    assert [one.audio for one in Manifest.from_folder(tmp_path, skipped=messages.append)] == ["a.wav"]
    assert len(messages) == 1
    assert r"caf\xe9.wav" in messages[0]


def test_utterances_of_annotations(tmp_path: Path) -> None:
    srt = "1\n00:00:00,500 --> 00:00:01,500\none\n\n2\n00:00:02,000 --> 00:00:03,000\ntwo\n"
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000 * 4), 16_000)
    files = {"a.SRT": srt, "b.wav": b"", "b.srt": "", "c.wav": b"", "c.srt": srt, "c.txt": "all of it", "d.flac": b""}
    skipped: list[str] = []
    found = Manifest.from_folder(folder_of(tmp_path, **files), skipped=skipped.append)
    assert [(one.audio, one.start, one.duration, one.text) for one in found] == [
        ("a.wav", 0.5, 1.0, "one"),
        ("a.wav", 2.0, 1.0, "two"),
        ("b.wav", 0.0, None, None),
        ("c.wav", 0.0, None, "all of it"),
        ("d.flac", 0.0, None, None),
    ]
    (message,) = skipped
    assert message.startswith(f"{tmp_path}/b.srt: holds no subtitles")
