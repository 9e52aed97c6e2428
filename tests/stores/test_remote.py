from __future__ import annotations

import io
import json
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import soundfile
from fsspec.implementations.memory import MemoryFileSystem

from speechxfer import audio
from speechxfer.data.loading import read
from speechxfer.data.manifest import Manifest
from speechxfer.errors import AudioError, ConfigError, DataError, MissingPackageError
from speechxfer.sources import source_at
from speechxfer.stores import remote, stored
from speechxfer.stores.stored import BLOCK
from tests.conftest import tone
from tests.data.shards import encoded, shard

Put = Callable[[str, bytes], str]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Put]:
    """Puts data into a store in memory and returns its address."""
    monkeypatch.setattr(remote, "_PAUSES_S", (0.0, 0.0))
    root = f"memory://{uuid.uuid4().hex}"
    store = fsspec.filesystem("memory")

    def put(name: str, data: bytes) -> str:
        store.pipe(f"{root}/{name}", data)
        return f"{root}/{name}"

    yield put
    store.rm(root, recursive=True)


class Failing:
    """Fails as a store may, a number of times, then answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int, fault: Callable[[bytes], bytes]) -> None:
        self.left, self.calls, self._fault = times, 0, fault
        self._answer = MemoryFileSystem.cat_file
        monkeypatch.setattr(MemoryFileSystem, "cat_file", lambda *one, **named: self(*one, **named))  # noqa: PLW0108

    def __call__(self, *one: Any, **named: Any) -> bytes:
        self.calls += 1
        data: bytes = self._answer(*one, **named)
        if self.left > 0:
            self.left -= 1
            return self._fault(data)
        return data


def throttled(_data: bytes) -> bytes:
    raise OSError("SlowDown: reduce your rate, https://host/a?X-Amz-Signature=secret")


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def refused(_data: bytes) -> bytes:
    raise PermissionError("403 Forbidden")


def test_a_recording_behind_a_url(bucket: Put) -> None:
    address = bucket("a.wav", encoded("ab"))
    np.testing.assert_array_equal(audio.load(address), audio.load(encoded("ab")))
    assert source_at(address).digest() == audio.source_of(encoded("ab")).digest()
    assert audio.info(source_at(address)).sample_rate == 16_000


def test_an_excerpt_of_a_long_recording_reads_little(bucket: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.tile(tone("abc"), 900)
    file = io.BytesIO()
    soundfile.write(file, sound, 16_000, format="WAV")
    address = bucket("long.wav", file.getvalue())
    asked: list[int] = []
    answer = MemoryFileSystem.cat_file

    def counted(self: Any, path: str, start: int, end: int) -> bytes:
        asked.append(end - start)
        return answer(self, path, start, end)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counted)
    part = audio.load(address, start=100.0, duration=0.5)
    np.testing.assert_array_equal(part, audio.load(file.getvalue(), start=100.0, duration=0.5))
    assert len(file.getvalue()) > 12 * BLOCK
    assert sum(asked) <= 4 * BLOCK


@pytest.mark.parametrize("fault", [throttled, half])
def test_what_fails_now_and_then_is_repeated(bucket: Put, monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    address = bucket("a.wav", encoded("ab"))
    store = Failing(monkeypatch, 2, fault)
    assert stored(address).read(0, 100) == encoded("ab")[:100]
    assert store.calls == 3


@pytest.mark.parametrize(
    ("fault", "calls", "why"),
    [(throttled, 3, "SlowDown.*, 3 times"), (half, 3, "only .* can be read.*, 3 times"), (refused, 1, "403 Forbidden")],
)
def test_what_fails_for_good_is_named(
    bucket: Put, monkeypatch: pytest.MonkeyPatch, fault: Any, calls: int, why: str
) -> None:
    address = bucket("a.wav", encoded("ab"))
    store = Failing(monkeypatch, 99, fault)
    with pytest.raises(AudioError, match=f"^{address}: .*{why}") as raised:
        audio.load(address)
    assert store.calls == calls
    assert "secret" not in str(raised.value)


class ClientConnectorError(OSError):
    """As a client has it."""


@pytest.mark.parametrize("is_hidden", [False, True])
def test_a_store_that_never_answers_is_named_soon(monkeypatch: pytest.MonkeyPatch, is_hidden: bool) -> None:
    tried = []

    def silent(_self: Any, path: str, **_limits: Any) -> Any:
        tried.append(path)
        fault = ClientConnectorError(111, "Connect call failed")
        if is_hidden:
            raise FileNotFoundError(path) from fault
        raise fault

    monkeypatch.setattr(MemoryFileSystem, "info", silent)
    monkeypatch.setattr(remote, "_PAUSES_S", (0.0, 30.0, 0.0))
    with pytest.raises(AudioError, match="Connect call failed, 2 times; nobody has answered at memory://nowhere"):
        audio.load("memory://nowhere/a.wav")
    assert len(tried) == 2  # a pause of 30 s is too long for it


def test_a_store_that_has_answered_is_waited_for(bucket: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    address = bucket("a.wav", encoded("ab"))
    assert stored(address).size()

    def lost(_data: bytes) -> bytes:
        raise ClientConnectorError(104, "Connection reset")

    monkeypatch.setattr(remote, "_FIRST_S", 0.0)
    store = Failing(monkeypatch, 2, lost)
    assert stored(address).read(0, 100) == encoded("ab")[:100]
    assert store.calls == 3


def test_addresses_that_lead_nowhere(bucket: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)  # as if it were not installed
    bucket("a.wav", b"")
    with pytest.raises(AudioError, match=r"b\.wav: no such file"):
        audio.load(bucket("a.wav", b"").replace("a.wav", "b.wav"))
    with pytest.raises(ConfigError, match="no store is known by xyz://"):
        audio.load("xyz://bucket/a.wav")
    with pytest.raises(MissingPackageError, match=r"s3:// needs s3fs, which is not installed; .*pip install s3fs"):
        audio.load("s3://bucket/a.wav")
    with pytest.raises(DataError, match=r"memory://nowhere/m\.jsonl: no such file"):
        Manifest.read("memory://nowhere/m.jsonl")


def test_manifests_and_shards_behind_urls(bucket: Put, tmp_path: Path) -> None:
    row = {"audio": "audio/a.wav", "text": "ab"}
    bucket("audio/a.wav", encoded("ab"))
    (one,) = Manifest.read(bucket("m.jsonl", json.dumps(row).encode()))
    assert len(read(one)) == len(audio.load(encoded("ab")))
    for number in range(2):
        folder = bucket(f"shards/x-{number}.tar", shard(tmp_path / "x.tar", {"1": "ab"}).read_bytes()).rpartition("/")[
            0
        ]
    for name in ("x-*.tar", "x-{0..1}.tar", ""):
        manifest = Manifest.read(f"{folder}/{name}")
        assert [one.audio for one in manifest] == ["x-0.tar/1.wav", "x-1.tar/1.wav"]
        assert [len(read(one)) for one in manifest] == [len(audio.load(encoded("ab")))] * 2
    manifest.write(tmp_path / "m.jsonl")
    assert [one.source for one in Manifest.read(tmp_path / "m.jsonl")] == [one.source for one in manifest]


def test_a_store_that_cannot_be_asked_for_its_files(bucket: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: Any, **_named: Any) -> list[str]:
        raise PermissionError("403 Forbidden")

    address = bucket("x-0.tar", b"")
    monkeypatch.setattr(MemoryFileSystem, "glob", refuse)
    with pytest.raises(DataError, match=r"x-\*\.tar: cannot be read \(403 Forbidden\)"):
        Manifest.read(address.replace("x-0", "x-*"))


def test_secrets_in_a_manifest_are_refused_by_line(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"audio": "https://me:word@host/a.wav"}\n')
    with pytest.raises(DataError, match=r"m\.jsonl:1: https://…@host/a\.wav: the address holds a password"):
        Manifest.read(tmp_path / "m.jsonl")
