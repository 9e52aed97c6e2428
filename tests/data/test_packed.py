"""Large manifests: the same utterances in less memory."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from speechxfer.data import packed
from speechxfer.data.dataset import Dataset
from speechxfer.data.manifest import Manifest, Utterance, data_digest
from speechxfer.sources import BytesSource
from tests.data.shards import encoded, shard


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    """Of every kind: files near and far, members, sound in memory, values that are plain and others."""
    (tmp_path / "m.jsonl").write_text(
        '{"audio": "a/b.wav", "text": "x", "speaker": "s", "start": 1.5, "duration": 2, "room": [1, {"a": null}]}\n'
        '{"audio": "./a//c.wav", "label": "no", "audio_channel": 1}\n{"audio": "/far/d.wav"}\n'
    )
    shard(tmp_path / "x.tar", {"1": "ab"})
    memory = BytesSource(encoded("ab"))
    return [
        *Manifest.read(tmp_path / "m.jsonl"),
        *Manifest.read(tmp_path / "x.tar"),
        Utterance(audio="memory:1", source=memory, extra={"path": Path("x")}, strict=True, origin="data[0]"),
        Utterance(audio="e.wav", origin="m.jsonl:007"),
    ]


def test_packed_utterances_equal_those_that_were_given(
    utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    loose = Manifest(utterances)
    monkeypatch.setattr(packed, "MOST_OBJECTS", 2)
    few = Manifest(utterances)
    assert few[0] is not few[0]
    assert list(few) == utterances
    assert [one.origin for one in few] == [one.origin for one in utterances]
    assert few[-1] == utterances[-1]
    assert list(few[1:5:2]) == utterances[1:5:2]
    assert list(few[1:2]) == utterances[1:2]
    assert few[4].source is utterances[4].source
    assert data_digest([few]) == data_digest([loose])
    assert list(pickle.loads(pickle.dumps(few)))[:4] == utterances[:4]
    assert list(Dataset(few)) == utterances
    assert list(few.strictly()) == [replace(one, strict=True) for one in utterances]
    with pytest.raises(IndexError):
        few[len(utterances)]


def test_a_copy_of_a_manifest_shares_its_utterances(
    utterances: list[Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "MOST_OBJECTS", 2)
    read = Manifest(utterances)
    assert Dataset(read)._utterances is read._utterances
