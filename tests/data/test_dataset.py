"""Data in whatever form a person has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from speechxfer import audio
from speechxfer.data.dataset import Dataset
from speechxfer.data.loading import read
from speechxfer.data.manifest import Manifest, Utterance
from speechxfer.errors import AudioError, ConfigError, DataError, SpeechxferError
from speechxfer.sources import FileSource, LostSource
from tests.conftest import tone

SOUND = tone("ab")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", SOUND, 16_000, subtype="FLOAT")
    return tmp_path / "a.wav"


class Audio:
    """As the feature of `datasets` that says which column holds sound."""

    def __init__(self, decode: bool = True) -> None:
        self.decode = decode


class ClassLabel:
    def int2str(self, number: int) -> str:
        return ("no", "yes")[number]


class HubData:
    """As a data set of `datasets`."""

    def __init__(self, rows: list[dict[str, Any]], features: dict[str, Any]) -> None:
        self.rows, self.features = rows, features

    def cast_column(self, name: str, feature: Any) -> HubData:
        return HubData(self.rows, {**self.features, name: feature})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        assert all(not getattr(feature, "decode", False) for feature in self.features.values()), "decoded for nothing"
        return self.rows[number]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[number] for number in range(len(self.rows)))


def hub_data(file: Path) -> HubData:
    rows = [
        {"audio": {"bytes": file.read_bytes(), "path": None}, "sentence": "ab", "kind": 1},
        {"audio": {"bytes": None, "path": str(file)}, "sentence": "ab", "kind": -1},
    ]
    return HubData(rows, {"audio": Audio(), "sentence": None, "kind": ClassLabel()})


FORMS: dict[str, Callable[[Path], Any]] = {
    "array": lambda _: [{"audio": SOUND, "sample_rate": 16_000, "text": "ab"}],
    "array of torch": lambda _: [{"audio": __import__("torch").tensor(SOUND), "sample_rate": 16_000, "text": "ab"}],
    "as datasets has it": lambda _: ({"audio": {"array": SOUND, "sampling_rate": 16_000}, "text": t} for t in ["ab"]),
    "bytes": lambda file: [{"audio": file.read_bytes(), "text": "ab"}],
    "path": lambda file: [{"audio": file, "text": "ab"}],
    "path as text": lambda file: [{"audio_filepath": str(file), "sentence": "ab"}],
    "utterance": lambda file: [Utterance(audio=str(file), text="ab")],
    "utterance with an array": lambda _: [Utterance(audio="x", source=audio.source_of(SOUND, 16_000), text="ab")],
    "manifest": lambda file: Manifest([Utterance(audio=str(file), text="ab")]),
    "dataset of the hub": hub_data,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_all_forms_give_the_same_sound_length_and_text(form: Callable[[Path], Any], file: Path, tmp_path: Path) -> None:
    dataset = Dataset.of(form(file), "train")
    assert dataset[0].text == "ab"
    assert dataset.lengths_s[0] == len(SOUND) / 16_000
    np.testing.assert_array_equal(read(dataset[0]), SOUND)
    again = Dataset.of(form(file), "dev")
    assert again.digest == dataset.digest
    dataset.write(tmp_path / "notes" / "train.jsonl")
    assert Dataset.of(tmp_path / "notes" / "train.jsonl").digest == dataset.digest


def test_what_was_in_memory_is_missing_when_a_manifest_of_it_is_read(tmp_path: Path) -> None:
    Dataset.of([{"audio": SOUND, "sample_rate": 16_000, "text": "a"}]).write(tmp_path / "train.jsonl")
    read_again = Manifest.read(tmp_path / "train.jsonl")
    assert isinstance(read_again[0].source, LostSource)
    with pytest.raises(DataError, match=r"train\.jsonl:1: the sound was in memory and is in no file; pass the same"):
        read_again.check_files()


def test_other_sound_or_text_is_other_data() -> None:
    rows = [{"audio": SOUND, "sample_rate": 16_000, "text": "ab"}]
    others = [{**rows[0], "audio": SOUND[:-1]}, {**rows[0], "sample_rate": 8_000}, {**rows[0], "text": "b"}]
    assert len({Dataset.of([one]).digest for one in [*rows, *others]}) == 4


def test_classes_of_the_hub_have_their_names(file: Path) -> None:
    named, unknown = Dataset.of(hub_data(file), "train")
    assert (named.extra, unknown.extra) == ({"kind": "yes"}, {})
    assert (named.origin, unknown.origin) == ("train[0]", "train[1]")
    assert isinstance(unknown.source, FileSource)


def test_numbers_of_numpy_and_columns_of_manifests_are_understood() -> None:
    row = {"audio": SOUND, "sample_rate": np.int64(16_000), "label": np.int64(3), "start": np.float32(0.25), "room": 1}
    (one,) = Dataset.of([row], "train")
    assert (one.label, one.start, one.extra) == ("3", 0.25, {"room": 1})
    assert Dataset.of([row]).lengths_s[0] == pytest.approx(len(SOUND) / 16_000 - 0.25)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (3, ConfigError, r"train is 3, of type int; wanted the path of a manifest, a Manifest, a list of utterances"),
        (None, ConfigError, r"train is None"),
        (b"RIFF", ConfigError, r"train is b'RIFF', of type bytes; wanted the path"),
        ([], DataError, r"train: holds no utterances"),
        ({"text": "a"}, ConfigError, r"train is of type dict; wanted the path"),
        ({"a": HubData([], {}), "b": HubData([], {})}, ConfigError, r"one of its splits \(a, b\)"),
        ([SOUND], ConfigError, r"train\[0\] is array.*wanted an Utterance or a dictionary"),
        ([{"text": "a"}], DataError, r"train\[0\]: no audio among the columns text; wanted"),
        ([{"audio": SOUND, "text": "a"}], AudioError, r"train\[0\]: audio: .*sample_rate"),
        ([{"audio": {}, "text": "a"}], DataError, r"train\[0\]: audio: "),
        ([{"audio": "a.wav", "text": 3}], DataError, r"train\[0\]: text is 3; wanted a string"),
        ([Utterance(audio="a.wav", text=3)], DataError, r"train\[0\]: text is 3; wanted a string"),  # type: ignore[arg-type]
        ([Utterance(audio="a.wav", start=-1.0)], DataError, r"train\[0\]: start is -1"),
        ([{"audio": SOUND, "sample_rate": "fast"}], DataError, r"train\[0\]: audio: .*the sample rate is fast"),
        ([{"audio": SOUND[:, None, None], "sample_rate": 8_000}], DataError, r"train\[0\]: audio: .*shape"),
    ],
)
def test_wrong_data_says_which_argument_what_was_seen_and_what_is_wanted(
    data: Any, error: type[SpeechxferError], message: str
) -> None:
    with pytest.raises(error, match=message):
        Dataset.of(data, "train")


def test_names_stay_as_a_manifest_has_them_unless_it_moves(file: Path) -> None:
    manifest = Manifest([Utterance(audio="a.wav", source=FileSource.of(file), text="ab")], file.with_name("a.jsonl"))
    dataset = Dataset.of(manifest, "train")
    assert (dataset[0].audio, dataset.path) == ("a.wav", manifest.path)
    assert dataset.located()[0].audio == str(file)
