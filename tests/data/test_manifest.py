from __future__ import annotations

import json
import os
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given, settings
from hypothesis import strategies as st

from speechxfer.data import columns
from speechxfer.data.manifest import Manifest, Utterance, data_digest
from speechxfer.errors import AudioError, ConfigError, DataError, StorageError
from speechxfer.sources import FileSource

RESERVED = columns.RESERVED.union(*columns.OTHER_NAMES.values())

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
cells = texts.filter(str.strip)
seconds = st.floats(min_value=1e-3, max_value=1e6)
names = st.sampled_from(["a.wav", "b c/é.flac", 'q"uote,.wav', "deep/er/x.mp3"])
json_values = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def as_name(text: str | None) -> str | None:
    """A label or speaker as it is read again."""
    name = columns.plain_name(text or "")
    return None if text is None or name.startswith("[") or name in columns.MISSING_NAMES else name


def is_free(name: str) -> bool:
    return bool(name) and columns.plain(name) not in RESERVED


def utterances(text: st.SearchStrategy[str], value: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Utterance]]:
    optional = text | st.none()
    one = st.builds(
        Utterance,
        audio=names,
        source=st.just(FileSource.of(Path())),
        text=optional,
        label=optional.map(as_name),
        speaker=optional.map(as_name),
        start=st.just(0.0) | seconds,
        duration=seconds | st.none(),
        extra=st.dictionaries(
            text.map(str.strip).filter(is_free), value.filter(lambda one: one is not None), max_size=3
        ),
    )
    return st.lists(one, min_size=1, max_size=4)


def content(utterance: Utterance) -> tuple[Any, ...]:
    one = utterance
    return one.audio, one.text, one.label, one.speaker, one.start, one.duration, dict(one.extra)


def round_trip(given_: list[Utterance], suffix: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Manifest(replace(one, source=FileSource.of(folder / one.audio)) for one in given_).write(folder / f"m{suffix}")
        read = Manifest.read(folder / f"m{suffix}")
    assert list(map(content, read)) == list(map(content, given_))
    assert [one.path for one in read] == [folder / one.audio for one in given_]


@settings(max_examples=60)
@given(utterances(texts, json_values))
def test_jsonl_round_trip(given_: list[Utterance]) -> None:
    round_trip(given_, ".jsonl")


@settings(max_examples=60)
@given(utterances(cells, cells))
def test_csv_round_trip(given_: list[Utterance]) -> None:
    round_trip(given_, ".csv")


@settings(max_examples=60)
@given(utterances(cells.filter(lambda text: not set(text) & set("\t\r\n")), st.just("v")))
def test_tsv_round_trip(given_: list[Utterance]) -> None:
    round_trip(given_, ".tsv")


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def write(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


Written = Callable[[str, str | bytes], Path]


def tone(path: Path, duration_s: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.zeros(round(16_000 * duration_s), dtype=np.float32), 16_000)
    return path


# Reading


def test_columns_line_numbers_and_paths(written: Written, tmp_path: Path) -> None:
    path = written(
        "train.jsonl",
        '\ufeff{"audio": "a.wav", "text": "yes", "start": 1.5, "duration": 2, "speaker": 7, "mood": [1]}\r\n\n'
        '{"audio": "/far/b.wav", "label": "no", "text": null}',
    )
    first, second = manifest = Manifest.read(str(path))
    assert content(first) == ("a.wav", "yes", None, "7", 1.5, 2.0, {"mood": [1]})
    assert first.path == tmp_path / "a.wav"
    assert first.origin == f"{path}:1"
    assert first.id == "a.wav@1.5"
    assert content(second) == ("/far/b.wav", None, "no", None, 0.0, None, {})
    assert second.path == Path("/far/b.wav")
    assert second.origin == f"{path}:3"
    assert second.id == "/far/b.wav"
    assert manifest.path == path
    assert manifest.texts == ["yes", None]
    assert manifest.duration_s == 2.0


def test_nemo(written: Written) -> None:
    line = {"audio_filepath": "a.wav", "offset": 3, "duration": 1.25, "text": "hello", "lang": "en"}
    (one,) = Manifest.read(written("nemo.json", json.dumps(line)))
    assert content(one) == ("a.wav", "hello", None, None, 3.0, 1.25, {"lang": "en"})


def test_common_voice(written: Written, tmp_path: Path) -> None:
    written("cv/clips/x.mp3", "")
    written("cv/clips/both.mp3", "")
    written("cv/both.mp3", "")
    path = written(
        "cv/validated.tsv",
        'client_id\tpath\tsentence\tup_votes\tage\ns1\tx.mp3\t"Well," she said.\t2\t\ns1\tboth.mp3\t"\t0\tteens\n',
    )
    manifest = Manifest.read(path)
    assert content(manifest[0]) == ("x.mp3", '"Well," she said.', None, "s1", 0.0, None, {"up_votes": "2"})
    assert manifest[0].path == tmp_path / "cv/clips/x.mp3"
    assert manifest[1].text == '"'
    assert manifest[1].extra == {"up_votes": "0", "age": "teens"}
    assert manifest[1].path == tmp_path / "cv/both.mp3"
    manifest.write(tmp_path / "cv/all.jsonl")
    assert Manifest.read(tmp_path / "cv/all.jsonl")[0].audio == "clips/x.mp3"


def test_lines_of_quoted_csv(written: Written) -> None:
    path = written("m.csv", 'audio,text,duration\na.wav,"two\nlines",1\n\nb.wav,,\n')
    first, second = Manifest.read(path)
    assert (first.text, first.duration, first.origin) == ("two\nlines", 1.0, f"{path}:2")
    assert (second.text, second.duration, second.origin) == (None, None, f"{path}:5")


GOOD = '{"audio": "a.wav"}\n'


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.jsonl", GOOD + "{oops", "m.jsonl:2: not JSON"),
        ("m.jsonl", GOOD + "[" * 100_000, "m.jsonl:2: not JSON"),
        ("m.jsonl", GOOD + '[{"audio": "a.wav"}]', "m.jsonl:2: a JSON list, not an object; wanted one object a line"),
        ("m.json", '[{"audio": "a.wav"},\n 3]', "m.json:2: a JSON int, not an object; wanted one object a line"),
        ("m.json", '[{"audio": "a.wav"},', "m.json: a JSON list that cannot be read (it does not end"),
        ("m.json", '[{"audio": "a.wav"}] [', "m.json: a JSON list that cannot be read (more than one list)"),
        ("m.jsonl", '{"audio": "a", "text": "x", "text": "y"}', "m.jsonl:1: not JSON (the key 'text' is there twice)"),
        ("m.jsonl", GOOD + '\n{"text": "yes"}', "m.jsonl:3: no audio among the columns text; wanted audio or audio_"),
        ("m.jsonl", '{"audio": ""}', "m.jsonl:1: audio is empty"),
        ("m.jsonl", '{"audio": 5}', 'm.jsonl:1: audio is 5; wanted a string; quote it: "5"'),
        ("m.jsonl", '{"audio": ["a.wav"]}', 'm.jsonl:1: audio is ["a.wav"]; wanted a string'),
        ("m.jsonl", '{"audio": "a", "text": 12}', 'm.jsonl:1: text is 12; wanted a string; quote it: "12"'),
        ("m.jsonl", '{"audio": "a", "text": true}', "m.jsonl:1: text is true; wanted a string"),
        (
            "m.jsonl",
            '{"audio": "a", "start": "1 s"}',
            'm.jsonl:1: start is "1 s"; wanted a number of seconds, at least',
        ),
        ("m.jsonl", '{"audio": "a", "offset": -1}', "m.jsonl:1: offset is -1; wanted a number of seconds, at least 0"),
        ("m.jsonl", '{"audio": "a", "start": true}', "m.jsonl:1: start is true"),
        ("m.jsonl", '{"audio": "a", "duration": 0}', "m.jsonl:1: duration is 0; wanted a number of seconds, more"),
        ("m.jsonl", '{"audio": "a", "duration": Infinity}', "m.jsonl:1: duration is Infinity"),
        ("m.jsonl", '{"audio": "a", "duration": 1' + "0" * 400 + "}", "m.jsonl:1: duration is 1000"),
        ("m.jsonl", '{"audio": "a", "path": "b"}', "m.jsonl:1: audio and path both mean the audio"),
        ("m.jsonl", '{"audio": "a", "text": "\\ud800"}', "m.jsonl:1: not JSON"),
        ("m.jsonl", GOOD.encode() + b'{"audio": "caf\xe9"}', r"m.jsonl:2: not UTF-8 (b'\xe9'); save the file as"),
        ("m.jsonl", " \n\n", "m.jsonl: holds no utterances"),
        ("m.csv", "", "m.csv: holds no utterances"),
        ("m.csv", "audio,text\n", "m.csv: holds no utterances"),
        ("m.csv", "sound,text\na.wav,yes\n", "m.csv:2: no audio among the columns sound, text; wanted audio or audio_"),
        ("m.csv", "audio,text\na.wav,yes,no\n", "m.csv:2: number of cells is 3; wanted 2"),
        ("m.csv", "audio,text\n\na.wav\n", "m.csv:3: number of cells is 1; wanted 2"),
        ("m.csv", "audio,text,text\na,b,c\n", "m.csv:1: two columns are called 'text'"),
        ("m.csv", "audio,duration\na.wav,long\n", 'm.csv:2: duration is "long"; wanted a number of seconds'),
        ("m.csv", 'audio,text\na.wav,x\nb.wav,"open\nc.wav,y\n', "m.csv:3: not CSV"),
        ("m.csv", b"audio,text\na.wav,\xff\n", r"m.csv:2: not UTF-8 (b'\xff')"),
        ("m.tsv", "path\tsentence\na.mp3 yes\n", "m.tsv:2: number of cells is 1; wanted 2"),
        ("m.tsv", "path\toffset\na.mp3\t-0.5\n", "m.tsv:2: offset is -0.5; wanted"),
    ],
)
def test_bad_lines(written: Written, name: str, text: str | bytes, message: str) -> None:
    path = written(name, text)
    with pytest.raises(DataError) as caught:
        Manifest.read(path)
    assert str(path.parent / message) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_manifests(written: Written, tmp_path: Path) -> None:
    written("train.jsonl", GOOD)
    with pytest.raises(DataError, match=r"trian\.jsonl: no such file; did you mean .*/train\.jsonl\?"):
        Manifest.read(tmp_path / "trian.jsonl")
    with pytest.raises(DataError, match="no such file; wanted"):
        Manifest.read(tmp_path / "nowhere/zzz.csv")
    with pytest.raises(ConfigError, match=r"m\.txt: ends in '\.txt'; wanted a manifest: \.jsonl, .*\.tsv"):
        Manifest.read(written("m.txt", GOOD))
    with pytest.raises(ConfigError, match="from-folder"):
        Manifest.read(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        Manifest.read(tmp_path / "folder.csv")


# The sequence


def test_manifest_is_an_immutable_sequence(written: Written) -> None:
    manifest = Manifest.read(written("m.jsonl", GOOD * 3))
    assert len(manifest) == 3
    part = manifest[1:]
    assert isinstance(part, Manifest)
    assert [one.origin[-2:] for one in part] == [":2", ":3"]
    assert part.path == manifest.path
    assert manifest[-1] in manifest
    assert len(set(manifest)) == 3
    assert "3 utterances" in repr(manifest)
    with pytest.raises(TypeError):
        manifest[0] = manifest[1]  # type: ignore[index]
    copy = pickle.loads(pickle.dumps(manifest))  # to the workers of a data loader
    assert list(copy) == list(manifest)


def test_with_durations(written: Written, tmp_path: Path) -> None:
    tone(tmp_path / "a.wav", 2.0)
    lines = [{"audio": "a.wav"}, {"audio": "a.wav", "start": 0.5}, {"audio": "gone.wav", "duration": 4.0}]
    manifest = Manifest.read(written("m.jsonl", "\n".join(map(json.dumps, lines))))
    ticks: list[float] = []
    measured = manifest.with_durations(ticks.append)
    assert [one.duration for one in measured] == [2.0, 1.5, 4.0]
    assert ticks == [1, 1, 1]
    assert manifest.duration_s == 4.0
    assert measured.duration_s == 7.5
    assert measured.path == manifest.path


def test_durations_of_unusable_audio(written: Written, tmp_path: Path) -> None:
    tone(tmp_path / "a.wav", 2.0)
    late = Manifest.read(written("m.jsonl", '{"audio": "a.wav", "start": 2}'))
    with pytest.raises(DataError, match=r"m\.jsonl:1: starts at 2\.0 s, but a\.wav is 2\.000 s long"):
        late.with_durations()
    gone = Manifest.read(written("m.jsonl", GOOD + '{"audio": "b.wav"}'))
    with pytest.raises(AudioError, match=r"m\.jsonl:2: .*b\.wav"):
        gone.with_durations()


def test_check_files(written: Written, tmp_path: Path) -> None:
    written("0.wav", "")
    path = written("m.jsonl", "".join(f'{{"audio": "{number}.wav"}}\n' for number in range(6)))
    manifest = Manifest.read(path)
    manifest[:1].check_files()
    with pytest.raises(DataError) as caught:
        manifest.check_files()
    message = str(caught.value)
    assert message.startswith(f"{path}:2: no such file: {tmp_path / '1.wav'}; {path}:3:")
    assert f"{path}:4:" in message
    assert f"{path}:5:" not in message
    assert "(+2 more)" in message


def test_files_by_the_names_of_other_systems(written: Written, tmp_path: Path) -> None:
    written("my clips/a.wav", "")
    written("caf\u00e9.wav", "")
    written("deep/cafe\u0301.wav", "")
    rows = ["my clips\\a.wav", ".\\my clips\\a.wav", "cafe\u0301.wav", "deep/caf\u00e9.wav", "C:\\gone.wav"]
    manifest = Manifest.read(written("m.jsonl", "\n".join(json.dumps({"audio": one}) for one in rows)))
    manifest[:-1].check_files()
    assert not manifest[-1].path.exists()
    manifest[:-1].write(tmp_path / "o/m.csv")
    Manifest.read(tmp_path / "o/m.csv").check_files()


def test_a_pointer_of_git_lfs_is_no_audio(written: Written) -> None:
    written("a.wav", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(DataError, match=r"m\.jsonl:1: .*a\.wav is a pointer of Git LFS.*`git lfs pull`"):
        Manifest.read(written("m.jsonl", GOOD)).check_files()


def test_a_name_that_no_file_can_have_is_missing(written: Written) -> None:
    name = "x" * 5000 + ".wav"
    with pytest.raises(DataError, match="no such file"):
        Manifest.read(written("m.jsonl", json.dumps({"audio": name}))).check_files()


# Folders


def test_from_folder(written: Written, tmp_path: Path) -> None:
    for name in ("b/2.wav", "b/1.FLAC", "a.mp3", ".hidden/x.wav", "b/._2.wav", "notes.md"):
        written(f"set/{name}", "")
    (tmp_path / "set/folder.wav").mkdir()
    written("set/b/2.txt", "\ufeff two\nlines \n")
    written("set/a.lab", "café")
    manifest = Manifest.from_folder(tmp_path / "set")
    assert [(one.audio, one.text, one.label) for one in manifest] == [
        ("a.mp3", "café", None),
        ("b/1.FLAC", None, None),
        ("b/2.wav", "two lines", None),
    ]
    assert manifest.path is None
    manifest.check_files()
    manifest.write(tmp_path / "lists/all.csv")
    assert Manifest.read(tmp_path / "lists/all.csv")[2].audio == "../set/b/2.wav"
    Manifest.read(tmp_path / "lists/all.csv").check_files()


def test_labels_from_folders(written: Written, tmp_path: Path) -> None:
    written("yes/deep/1.wav", "")
    written("no/1.wav", "")
    assert [one.label for one in Manifest.from_folder(tmp_path, labels=True)] == ["no", "yes"]
    written("loose.wav", "")
    with pytest.raises(DataError, match=r"loose\.wav: lies in no folder of a label; wanted .*LABEL/loose\.wav"):
        Manifest.from_folder(tmp_path, labels=True)


def test_folders_that_cannot_be_used(written: Written, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no audio files; wanted"):
        Manifest.from_folder(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        Manifest.from_folder(tmp_path / "nowhere")
    written("a.wav", "")
    written("a.txt", b"caf\xe9")
    with pytest.raises(DataError, match=r"a\.txt:1: not UTF-8 .*save the file as UTF-8"):
        Manifest.from_folder(tmp_path)


# Writing


def test_key_order_and_what_is_left_out(written: Written, tmp_path: Path) -> None:
    line = '{"mood": "é", "speaker": "s", "duration": 1, "start": 0, "label": "l", "text": "", "audio": "a.wav"}'
    Manifest.read(written("m.jsonl", line)).write(tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == (
        '{"audio": "a.wav", "text": "", "label": "l", "duration": 1.0, "speaker": "s", "mood": "é"}\n'
    )


def test_tables_hold_all_columns_in_order(written: Written, tmp_path: Path) -> None:
    lines = '{"audio": "a.wav", "tags": [1, "é"], "z": false}\n{"audio": "b.wav", "text": "yes", "start": 2}'
    Manifest.read(written("m.jsonl", lines)).write(tmp_path / "out.tsv")
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8").splitlines() == [
        "audio\ttext\tstart\ttags\tz",
        'a.wav\t\t\t[1, "é"]\tfalse',
        "b.wav\tyes\t2.0\t\t",
    ]


def test_written_paths_lead_to_the_same_files(written: Written, tmp_path: Path) -> None:
    written("data/clips/a.wav", "")
    written("b.wav", "")
    lines = [{"audio": "clips/a.wav"}, {"audio": "../b.wav"}, {"audio": str(tmp_path / "b.wav")}]
    manifest = Manifest.read(written("data/m.jsonl", "\n".join(map(json.dumps, lines))))
    manifest.write(tmp_path / "x/y/m.csv")
    moved = Manifest.read(tmp_path / "x/y/m.csv")
    assert [one.audio for one in moved] == ["../../data/clips/a.wav", "../../b.wav", str(tmp_path / "b.wav")]
    moved.check_files()


def test_relative_manifest_paths(written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written("data/a.wav", "")
    written("data/m.jsonl", GOOD)
    monkeypatch.chdir(tmp_path)
    Manifest.read("data/m.jsonl").write("m.tsv")
    (one,) = Manifest.read("m.tsv")
    assert (one.audio, one.origin) == ("data/a.wav", "m.tsv:2")


def test_written_paths_beyond_symbolic_links(written: Written, tmp_path: Path) -> None:
    written("audio/a.wav", "")
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far/away")
    Manifest.from_folder(tmp_path / "audio").write(tmp_path / "link/m.jsonl")
    (one,) = Manifest.read(tmp_path / "link/m.jsonl")
    assert one.audio == "../../audio/a.wav"
    assert one.path.is_file()


def test_nothing_in_common_but_the_root(tmp_path: Path) -> None:
    far = Utterance(audio="a.wav", source=FileSource.of(Path("/far/away/a.wav")))
    Manifest([far]).write(tmp_path / "m.jsonl")
    assert Manifest.read(tmp_path / "m.jsonl")[0].audio == "/far/away/a.wav"


def test_what_cannot_be_written(tmp_path: Path) -> None:
    def written_as(name: str, **values: Any) -> None:
        Manifest([Utterance(audio="a.wav", source=FileSource.of(tmp_path / "a.wav"), **values)]).write(tmp_path / name)

    with pytest.raises(ConfigError, match=r"ends in '\.xml'"):
        written_as("m.xml")
    for text in ("tab\there", "line\nbreak", "return\r"):
        with pytest.raises(DataError, match=r"m\.tsv:2: .* tab or line break"):
            written_as("m.tsv", text=text)
    with pytest.raises(DataError, match="extra has 'path'"):
        written_as("m.jsonl", extra={"path": "b.wav"})
    with pytest.raises(DataError, match=r"m\.jsonl: .*not Unicode text"):
        written_as("m.jsonl", text=os.fsdecode(b"caf\xe9"))
    with pytest.raises(DataError, match="no utterances to write"):
        Manifest([]).write(tmp_path / "m.jsonl")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        written_as("file/m.jsonl")


def test_streams_and_channels_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("audio,audio_stream,audio_channel\ncall.mkv,1,\ncall.wav,,0\ncall.wav,,1\n")
    manifest = Manifest.read(path)
    chosen = [(one.audio_stream, one.audio_channel) for one in manifest]
    assert chosen == [(1, None), (None, 0), (None, 1)]
    assert len({one.id for one in manifest}) == 3
    manifest.write(tmp_path / "again.jsonl")
    assert [one.reading for one in Manifest.read(tmp_path / "again.jsonl")] == [one.reading for one in manifest]
    assert all(one.reading["strict"] for one in manifest.strictly())
    for wrong in ("-1", "0.5", "left"):
        path.write_text(f"audio,audio_channel\ncall.wav,{wrong}\n")
        with pytest.raises(DataError, match=r"m\.csv:2: audio_channel is .*; wanted a number of the file's channels"):
            Manifest.read(path)


def test_what_is_read_of_a_file_counts_in_the_digest() -> None:
    def digest(**columns: int) -> str:
        return data_digest([Manifest([Utterance(audio="a.wav", **columns)])])

    assert len({digest(), digest(audio_channel=0), digest(audio_channel=1), digest(audio_stream=1)}) == 4


def test_a_corpus_is_the_same_wherever_it_is(tmp_path: Path) -> None:
    def digest(*audio: str) -> str:
        return data_digest([Manifest(Utterance(audio=name, text="a") for name in audio)])

    assert digest("/old/x/a.wav", "/old/y/a.wav") == digest("/new/place/x/a.wav", "/new/place/y/a.wav")
    assert digest("/old/x/a.wav", "/old/y/a.wav") != digest("/old/y/a.wav", "/old/x/a.wav")
    assert digest("/old/x/a.wav") != digest("/old/x/b.wav")
    assert digest("x/a.wav") != digest("y/a.wav")
    assert digest("x/a.wav", "/old/a.wav") == digest("x/a.wav", "/new/a.wav")
