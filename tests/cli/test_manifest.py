from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from speechxfer.cli.manifest import manifest
from speechxfer.data.manifest import Manifest
from speechxfer.errors import ConfigError, DataError


def run(*arguments: object) -> str:
    result = CliRunner().invoke(manifest, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    for name, duration_s in {"no/1": 1.0, "yes/1": 2.0, "yes/2": 3.0}.items():
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, np.zeros(round(8_000 * duration_s)), 8_000)
    (folder / "yes/1.txt").write_text("yes yes")
    return folder


def test_from_folder(folder: Path, tmp_path: Path) -> None:
    output = run("from-folder", folder, tmp_path / "all.jsonl", "--labels")
    assert output == f"{tmp_path}/all.jsonl: 3 utterances, 7 characters (4 different), 2 without a transcript\n"
    made = Manifest.read(tmp_path / "all.jsonl")
    assert [(one.audio, one.label, one.duration) for one in made] == [
        ("set/no/1.wav", "no", 1.0),
        ("set/yes/1.wav", "yes", 2.0),
        ("set/yes/2.wav", "yes", 3.0),
    ]


def test_from_folder_without_durations(folder: Path, tmp_path: Path) -> None:
    (folder / "no/1.wav").write_bytes(b"no sound")
    run("from-folder", folder, tmp_path / "all.csv", "--no-durations")
    assert [one.duration for one in Manifest.read(tmp_path / "all.csv")] == [None] * 3


def test_from_folder_leaves_out_what_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    (folder / "no/1.wav").write_bytes(b"no sound")
    (folder / "cover.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(range(256)))
    sf.write(folder / "yes/3.unknown", np.zeros(8_000), 8_000, format="WAV")
    result = CliRunner().invoke(manifest, ["from-folder", str(folder), str(tmp_path / "all.tsv")])
    assert (result.exit_code, [one.path.name for one in Manifest.read(tmp_path / "all.tsv")]) == (
        0,
        ["1.wav", "2.wav", "3.unknown"],
    )
    first, second = result.stderr.splitlines()
    assert first == f"skipped {folder}/cover.jpg: no sound in them"
    assert second.startswith(f"skipped {folder}/no/1.wav: ")
    for name in ("1.wav", "2.wav", "3.unknown"):
        (folder / "yes" / name).unlink()
    with pytest.raises(DataError, match="no utterances to write"):
        run("from-folder", folder, tmp_path / "none.tsv")
    assert not (tmp_path / "none.tsv").exists()


def test_convert(folder: Path, tmp_path: Path) -> None:
    run("from-folder", folder, tmp_path / "all.jsonl")
    assert run("convert", tmp_path / "all.jsonl", tmp_path / "lists/all.tsv") == (
        f"{tmp_path}/lists/all.tsv: 3 utterances\n"
    )
    converted = Manifest.read(tmp_path / "lists/all.tsv")
    converted.check_files()
    assert converted.duration_s == 6.0


def test_another_column_becomes_the_label(tmp_path: Path) -> None:
    lines = [{"audio": "a.wav", "duration": 1.0, "label": "one", "speaker": "ann", "age": 7}]
    (tmp_path / "all.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for column, label in (("speaker", "ann"), ("age", "7")):
        run("convert", tmp_path / "all.jsonl", tmp_path / "labeled.jsonl", "--label-from", column, "--overwrite")
        (one,) = Manifest.read(tmp_path / "labeled.jsonl")
        assert (one.label, one.speaker) == (label, "ann")
    with pytest.raises(DataError, match=r"all\.jsonl:1: has no 'sex' to be its label; .*: speaker, age"):
        run("convert", tmp_path / "all.jsonl", tmp_path / "other.jsonl", "--label-from", "sex")


def test_existing_output_is_kept(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "all.jsonl"
    output.write_text('{"audio": "a.wav"}\n')
    for command in (["from-folder", folder, output], ["convert", output, output]):
        with pytest.raises(ConfigError, match=r"all\.jsonl: exists already; add --overwrite"):
            run(*command)
    assert len(Manifest.read(output)) == 1
    run("from-folder", folder, output, "--overwrite")
    assert len(Manifest.read(output)) == 3


def test_the_suffix_is_checked_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in '\.txt'"):
        run("from-folder", tmp_path / "nowhere", tmp_path / "all.txt")


def test_show(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text(
        "audio,text,label,duration,speaker\n"
        "a.wav,abba,yes,3600,ann\nb.wav,,yes,61.4,bob\nc.wav,cab,no,1.25,ann\nd.wav,a,,,\n"
    )
    assert run("show", path).splitlines() == [
        "utterances  4",
        "text        8 characters (3 different), 1 without a transcript",
        "no duration 1 of 4",
        "duration    1:01:03",
        "shortest    1.25 s",
        "median      61.40 s",
        "longest     3600.00 s",
        "speakers    2",
        "labels      2: yes (2), no (1)",
    ]


def test_show_a_bare_list_with_many_labels(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("audio,label\n" + "".join(f"{number}.wav,l{number}\n" for number in range(12)))
    assert run("show", path).splitlines()[-1].startswith("labels      12: l0 (1), ")
    assert run("show", path).endswith("l9 (1), …\n")


def test_errors_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"audio": "a.wav"}\n{"text": "b"}\n')
    with pytest.raises(DataError, match=r"m\.jsonl:2: no audio"):
        run("show", path)


def test_nothing_heavy_is_imported_early() -> None:
    code = (
        "import sys, speechxfer.cli.manifest, speechxfer.data.manifest\n"
        "print([name for name in ('torch', 'numpy', 'soundfile', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_split(tmp_path: Path) -> None:
    rows = "".join(f"{number}.wav,s{number % 20},sentence {number},1.5\n" for number in range(100))
    (tmp_path / "all.csv").write_text(f"audio,speaker,text,duration\n{rows}")
    output = run("split", tmp_path / "all.csv", "--output", tmp_path / "parts", "--dev", "0.1", "--test", "0.2")
    assert output.splitlines() == [
        f"{tmp_path}/parts/train.csv: 70 utterances, 0:01:45, 14 speakers",
        f"{tmp_path}/parts/dev.csv: 10 utterances, 0:00:15, 2 speakers",
        f"{tmp_path}/parts/test.csv: 20 utterances, 0:00:30, 4 speakers",
    ]
    parts = [Manifest.read(tmp_path / f"parts/{name}.csv") for name in ("train", "dev", "test")]
    assert {one.path.resolve() for part in parts for one in part} == {tmp_path / f"{n}.wav" for n in range(100)}
    with pytest.raises(ConfigError, match="exists already"):
        run("split", tmp_path / "all.csv", "--output", tmp_path / "parts")


def test_import(folder: Path, tmp_path: Path) -> None:
    assert run("import", "classes", folder, tmp_path / "all.jsonl").startswith(f"{tmp_path}/all.jsonl: 3 utterances, ")
    assert [one.label for one in Manifest.read(tmp_path / "all.jsonl")] == ["no", "yes", "yes"]
    with pytest.raises(ConfigError, match="'folders' is not a kind of corpus"):
        run("import", "folders", folder, tmp_path / "other.jsonl")


def test_import_of_annotations(folder: Path, tmp_path: Path) -> None:
    srt = "1\n00:00:00,500 --> 00:00:01,500\none\n\n2\n00:00:02,000 --> 00:00:05,000\ntwo\n"
    (folder / "yes/2.srt").write_text(srt)
    (folder / "no/1.srt").write_text("")
    (tmp_path / "none").mkdir()
    result = CliRunner().invoke(manifest, ["import", "annotations", str(folder), str(tmp_path / "all.jsonl")])
    assert result.stdout == f"{tmp_path}/all.jsonl: 2 utterances, 6 characters (5 different)\n"
    made = Manifest.read(tmp_path / "all.jsonl")
    made.check_files()
    assert [(one.start, one.duration, one.text) for one in made] == [(0.5, 1.0, "one"), (2.0, 1.0, "two")]
    shortened, skipped = result.stderr.splitlines()
    assert shortened.startswith(f"warning: {folder}/yes/2.srt:6: 'two' from 2 s to 5 s is shortened; ")
    assert skipped.startswith(f"warning: {folder}/no/1.srt: holds no subtitles; ")
    with pytest.raises(DataError, match=r"2\.srt: has no tier 'words'; wanted one of 'subtitles' \(2\)"):
        run("import", "annotations", folder / "yes/2.srt", tmp_path / "a.jsonl", "--tier", "words")
    with pytest.raises(DataError, match=r"holds no annotations; wanted files with a suffix of \.srt, \.vtt, "):
        run("import", "annotations", tmp_path / "none", tmp_path / "a.jsonl")
    with pytest.raises(ConfigError, match="--tier words is for annotations; a corpus of kaldi has no tiers"):
        run("import", "kaldi", folder, tmp_path / "a.jsonl", "--tier", "words")
