from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from speechxfer.data.importers import KINDS, from_kaldi, from_librispeech, read_corpus
from speechxfer.data.manifest import Manifest
from speechxfer.errors import ConfigError, DataError


def sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(1600), 16_000)
    return path


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


@pytest.fixture
def kaldi(tmp_path: Path) -> Path:
    wav = sound(tmp_path / "wav/a b.wav")
    folder = write(tmp_path / "data", wav_scp=f"rec1 {wav}\nrec2 c.wav\n")
    sound(folder / "c.wav")
    return folder


def test_kaldi_with_whole_recordings(kaldi: Path) -> None:
    write(kaldi, text="rec1 the cat  sat\nrec2\n", utt2spk="rec1 ann\n")
    first, second = from_kaldi(kaldi)
    assert (first.text, first.speaker, first.duration, first.extra["id"]) == ("the cat  sat", "ann", None, "rec1")
    assert (second.text, second.speaker, second.path) == ("", None, kaldi / "c.wav")
    assert first.path.name == "a b.wav"


def test_kaldi_with_segments(kaldi: Path, tmp_path: Path) -> None:
    write(kaldi, segments="u1 rec1 0.5 1.75\nu2 rec1 2 -1\n", text="u1 one\nu2 two\n")
    made = read_corpus("kaldi", str(kaldi), beside=tmp_path / "out.jsonl")
    made.write(tmp_path / "out.jsonl")
    again = Manifest.read(tmp_path / "out.jsonl")
    again.check_files()
    assert [(one.text, one.start, one.duration) for one in again] == [("one", 0.5, 1.25), ("two", 2.0, None)]


def test_kaldi_with_any_white_space(kaldi: Path) -> None:
    write(kaldi, wav_scp=f"u1\t{kaldi / 'c.wav'}\nu2 \t c.wav\n", utt2spk="u1\tann\n")
    (kaldi / "text").write_text("u1\tone two\nu2   three\n")
    assert [(one.text, one.speaker, one.path.name) for one in from_kaldi(kaldi)] == [
        ("one two", "ann", "c.wav"),
        ("three", None, "c.wav"),
    ]


@pytest.mark.parametrize("command", ["cat {} |", "flac -c -d -s {} |", "/usr/bin/flac -cd '{}' |", " cat {}|"])
def test_commands_of_kaldi_that_only_print_a_file(kaldi: Path, command: str) -> None:
    write(kaldi, wav_scp=f"u1 {command.format(kaldi / 'c.wav')}\n")
    assert from_kaldi(kaldi)[0].path == kaldi / "c.wav"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"wav_scp": "r1 sph2pipe -f wav a.sph |\n"}, r"wav\.scp:1: .* is a command"),
        ({"wav_scp": "r1 sph2pipe -c 1 a.sph |\n"}, r"a command; run it once .*, or name a\.sph itself if the command"),
        ({"wav_scp": "r1 sox a.wav -t wav - remix 2 |\n"}, r"wav\.scp:1: .* is a command"),
        ({"wav_scp": "r1 cat 'a.wav |\n"}, r"wav\.scp:1: .* is a command"),
        ({"wav_scp": "r1 a.wav\nr1 b.wav\n"}, r"wav\.scp:2: r1 is repeated, after .*wav\.scp:1"),
        ({"wav_scp": "r1 raw.ark:1234\n"}, r"wav\.scp:1: .* is an offset in an archive"),
        ({"wav_scp": "r1\n"}, r"wav\.scp:1: 'r1' has one column"),
        ({"text": "u9 hello\n"}, r"text:1: u9 is in neither segments nor wav\.scp"),
        ({"segments": "u1 rec1 0\n"}, r"segments:1: 'rec1 0'; wanted a recording"),
        ({"segments": "\nu1 rec9 0 1\n"}, r"segments:2: the recording rec9 is not in wav\.scp"),
        ({"segments": "u1 rec1 2 1\n"}, r"segments:1: a segment from 2 s to 1 s"),
    ],
)
def test_kaldi_folders_that_cannot_be_used(files: dict[str, str], message: str, kaldi: Path) -> None:
    write(kaldi, **files)
    with pytest.raises(DataError, match=message):
        from_kaldi(kaldi)


def test_a_folder_that_is_none_of_kaldi(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"wav\.scp: no such file"):
        from_kaldi(tmp_path)


def test_librispeech(tmp_path: Path) -> None:
    chapter = tmp_path / "dev-clean/84/121123"
    for number in (0, 1):
        sound(chapter / f"84-121123-000{number}.flac")
    (chapter / "84-121123.trans.txt").write_text("84-121123-0000 GO DO YOU HEAR\n84-121123-0001 BUT\n")
    made = from_librispeech(tmp_path)
    assert [(one.audio, one.text, one.speaker) for one in made] == [
        ("dev-clean/84/121123/84-121123-0000.flac", "GO DO YOU HEAR", "84"),
        ("dev-clean/84/121123/84-121123-0001.flac", "BUT", "84"),
    ]
    (chapter / "84-121123-0001.flac").unlink()
    with pytest.raises(DataError, match=r"trans\.txt:2: 84-121123-0001\.flac is missing"):
        from_librispeech(tmp_path)
    with pytest.raises(DataError, match="wanted a folder of LibriSpeech"):
        from_librispeech(tmp_path / "none")


def test_layouts_that_manifests_have_already(tmp_path: Path) -> None:
    sound(tmp_path / "clips/a.mp3.wav")
    (tmp_path / "v.tsv").write_text('client_id\tpath\tsentence\tage\nx1\ta.mp3.wav\t"Oh!"\ttwenties\n')
    (common,) = read_corpus("commonvoice", str(tmp_path / "v.tsv"), beside=tmp_path / "o.jsonl")
    assert (common.text, common.speaker, common.extra) == ('"Oh!"', "x1", {"age": "twenties"})
    assert common.path.exists()
    (tmp_path / "n.json").write_text('{"audio_filepath": "a.wav", "offset": 1, "duration": 2, "text": "b"}\n')
    (nemo,) = read_corpus("nemo", str(tmp_path / "n.json"), beside=tmp_path / "o.jsonl")
    assert (nemo.start, nemo.duration) == (1.0, 2.0)
    sound(tmp_path / "classes/yes/a.wav")
    (classed,) = read_corpus("classes", str(tmp_path / "classes"), beside=tmp_path / "o.jsonl")
    assert classed.label == "yes"


class Audio:
    def __init__(self, decode: bool = True) -> None:
        self.decode = decode


class DataSet:
    """As much of `datasets.Dataset` as is used."""

    def __init__(self, features: dict[str, Any], rows: list[dict[str, Any]]) -> None:
        self.features, self.rows = features, rows

    def cast_column(self, name: str, feature: Audio) -> DataSet:
        assert not feature.decode
        return self

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(1600), 16_000, format="FLAC")
    kept = sound(tmp_path / "kept/b.wav")
    features = {
        "audio": Audio(),
        "sentence": None,
        "label": SimpleNamespace(int2str=lambda number: ("no", "yes")[number]),
        "speaker_id": None,
        "age": None,
        "path": None,
    }
    known = {"sentence": "a", "label": 1, "speaker_id": 7, "age": 3, "path": "p"}
    unknown = {"sentence": None, "label": 0, "speaker_id": 8, "age": None, "path": "q"}
    rows = [
        {"audio": {"bytes": buffer.getvalue(), "path": "x.opus"}, **known},
        {"audio": {"bytes": None, "path": str(kept)}, **unknown},
    ]
    stored = {"me/corpus": {"train": DataSet(features, rows), "test": DataSet({"text": None}, [])}}

    def load_dataset(name: str) -> Any:
        return stored[name]

    library = SimpleNamespace(Audio=Audio, load_dataset=load_dataset, load_from_disk=lambda _: stored["me/corpus"])
    monkeypatch.setitem(sys.modules, "datasets", library)
    return stored


@pytest.mark.usefixtures("hub")
def test_huggingface(tmp_path: Path) -> None:
    output = tmp_path / "out/all.jsonl"
    read_corpus("huggingface", "me/corpus", beside=output, split="train").write(output)
    first, second = Manifest.read(output)
    assert (first.audio, first.text, first.label, first.speaker) == ("all-audio/0000000.flac", "a", "yes", "7")
    assert first.extra == {"age": 3, "original_path": "p"}
    assert soundfile.info(first.path).frames == 1600
    assert (second.path, second.text, second.label) == (tmp_path / "kept/b.wav", None, "no")


class Classes:
    """As much of `datasets.ClassLabel` as is used."""

    def int2str(self, number: int) -> str:
        if not 0 <= number < 2:
            raise ValueError(f"Invalid integer class label {number}")
        return ("dog", "cat ")[number]


def kinds_of_lists() -> list[Any]:
    return [SimpleNamespace(feature=Classes()), [Classes()]]


@pytest.mark.parametrize("kind", kinds_of_lists())
def test_several_classes_of_the_hub(hub: dict[str, Any], tmp_path: Path, kind: Any) -> None:
    rows = [
        {
            "audio": {"bytes": b"RIFF", "path": None},
            "labels": labels,
            "gender": gender,
            "score": score,
            "tags": ["a", 1],
        }
        for labels, gender, score in (([0], 0, 0.5), ([0, 1], 1, float("nan")), ([], -1, 1.0), (None, None, None))
    ]
    features = {"audio": Audio(), "labels": kind, "gender": Classes(), "score": None, "tags": None}
    hub["me/corpus"] = DataSet(features, rows)
    output = tmp_path / "o.jsonl"
    read_corpus("huggingface", "me/corpus", beside=output).write(output)
    made = Manifest.read(output)
    assert [one.label for one in made] == ["dog", "dog|cat", "", None]
    assert [dict(one.extra) for one in made] == [
        {"gender": "dog", "score": 0.5, "tags": ["a", 1]},
        {"gender": "cat", "tags": ["a", 1]},
        {"score": 1.0, "tags": ["a", 1]},
        {"tags": ["a", 1]},
    ]


@pytest.mark.parametrize(("number", "label"), [(-1, None), (1, "cat")])
def test_a_class_of_the_hub(hub: dict[str, Any], tmp_path: Path, number: int, label: str | None) -> None:
    row = {"audio": {"bytes": b"RIFF", "path": None}, "label": number}
    hub["me/corpus"] = DataSet({"audio": Audio(), "label": Classes()}, [row])
    (made,) = read_corpus("huggingface", "me/corpus", beside=tmp_path / "o.jsonl")
    assert made.label == label


def test_rows_of_the_hub_that_cannot_be_used(hub: dict[str, Any], tmp_path: Path) -> None:
    features = {"audio": Audio(), "label": Classes()}
    for row, message in (
        (
            {"audio": {"bytes": b"RIFF", "path": None}, "label": 7},
            "row 0: label is 7, which is not the index of a class",
        ),
        ({"audio": None, "label": 0}, "row 0: neither bytes nor an audio file"),
    ):
        hub["me/corpus"] = DataSet(features, [row])
        with pytest.raises(DataError, match=message):
            read_corpus("huggingface", "me/corpus", beside=tmp_path / "o.jsonl")


@pytest.mark.usefixtures("hub")
def test_huggingface_data_that_cannot_be_used(tmp_path: Path) -> None:
    output = tmp_path / "o.jsonl"
    with pytest.raises(DataError, match="no split None; name one by --split: train, test"):
        read_corpus("huggingface", "me/corpus", beside=output)
    with pytest.raises(DataError, match="no column of audio among text"):
        read_corpus("huggingface", "me/corpus", beside=output, split="test")
    with pytest.raises(DataError, match="`datasets` cannot open it"):
        read_corpus("huggingface", "me/nothing", beside=output)


def test_huggingface_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"pip install .speechxfer.datasets"):
        read_corpus("huggingface", "x", beside=tmp_path / "o.jsonl")


def test_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"'kadli' is not a kind of corpus; wanted one of: {', '.join(KINDS)}"):
        read_corpus("kadli", "x", beside=tmp_path / "o.jsonl")
    with pytest.raises(ConfigError, match="--split dev is for Hugging Face"):
        read_corpus("kaldi", "x", beside=tmp_path / "o.jsonl", split="dev")
