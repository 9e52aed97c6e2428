"""Each defect planted into sound and texts that are otherwise in order, and what stays silent about them."""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given
from hypothesis import strategies as st

from speechxfer.data.checks import KINDS, Finding, Limits, Report, Split, check, cleaning, log_problems, writing
from speechxfer.data.manifest import Manifest
from speechxfer.errors import ConfigError, DataError
from speechxfer.progress import Progress
from tests.audio.sounds import encode, encode_parts

RATE = 16_000
SYLLABLES = ("ba", "de", "ki", "lo", "mu", "na", "po", "ra", "si", "tu")


def noise(seconds: float, seed: int, rate: int = RATE) -> np.ndarray:
    """Speech as far as preflight looks: wide-band, with syllables and pauses around them."""
    chance = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    syllables = np.abs(np.sin(2 * np.pi * 2.0 * time)) * np.hanning(len(time)) ** 0.2
    return (0.1 * syllables * chance.normal(size=len(time))).clip(-1, 1)


class Corpus:
    """Rows and their audio, in order unless said otherwise."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[dict[str, Any]] = []
        self.seed = 0

    def add(self, samples: np.ndarray | None = None, *, rate: int = RATE, **columns: Any) -> int:
        """A line, numbered from 1; without samples it gets as much sound as its text takes."""
        self.seed += 1
        chance = np.random.default_rng(self.seed)
        columns.setdefault("text", " ".join(chance.choice(SYLLABLES, 6 + self.seed % 9)))
        samples = noise(0.07 * len(columns["text"] or "12345"), self.seed) if samples is None else samples
        audio = f"{self.folder.name}{self.seed}.wav"
        soundfile.write(self.folder / audio, samples, rate)
        self.rows.append({"audio": audio, "speaker": f"s{self.seed}"} | columns)
        return len(self.rows)

    def write(self, name: str = "train") -> Path:
        path = self.folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        return path


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path)


@pytest.fixture
def other(tmp_path: Path) -> Corpus:
    (tmp_path / "other").mkdir()
    return Corpus(tmp_path / "other")


class Hearing(Progress):
    """What is reported before a run."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, message: str) -> None:
        self.lines.append(message)


def look(*paths: Path, quick: bool = False, **limits: Any) -> Report:
    return check([Split.from_file(path) for path in paths], Limits(**limits), quick=quick, workers=1)


def reported(report: Report) -> set[tuple[str, int | None]]:
    return {(finding.kind, finding.line) for finding in report.findings}


def test_nothing_is_said_of_what_is_in_order(corpus: Corpus, other: Corpus) -> None:
    for _ in range(60):
        corpus.add()
    other.seed = 1000
    for seed in range(5):
        other.add(noise(3.0, seed, 8_000), rate=8_000, text="ba de ki lo mu na po ra si tu ba ki ki na")
        other.rows[-1]["text"] += f" {SYLLABLES[seed]}"  # telephone audio is narrow-band by its rate
    report = look(corpus.write(), other.write("test"))
    assert report.findings == []
    assert report.summary == "65 lines of 2 manifests: 0 errors, 0 warnings, 0 notes"


SOUNDS: dict[str, Callable[[], tuple[np.ndarray, int]]] = {
    "silent": lambda: (1e-4 * noise(2, 0), RATE),
    "clipped": lambda: (0.5 * (12 * noise(2, 0)).clip(-0.8, 0.8), RATE),
    "offset": lambda: (noise(2, 0) + 0.08, RATE),
    "channel": lambda: (np.stack([noise(2, 0), noise(2, 1)], axis=1), RATE),
    "narrow-band": lambda: (soxr.resample(noise(2, 0, 8_000), 8_000, RATE), RATE),
    "too-short": lambda: (noise(0.05, 0), RATE),
    "too-long": lambda: (noise(31.0, 0), RATE),
}


@pytest.mark.parametrize("kind", SOUNDS)
def test_a_fault_of_the_sound(kind: str, corpus: Corpus) -> None:
    samples, rate = SOUNDS[kind]()
    corpus.add()
    line = corpus.add(samples, rate=rate, text="a")
    corpus.add()
    assert reported(look(corpus.write())) == {(kind, line)}


@pytest.mark.parametrize(
    ("channels", "what"),
    [
        ((noise(2, 1), -noise(2, 1)), None),
        ((noise(2, 1), np.zeros(2 * RATE)), None),
        ((noise(2, 1), noise(2, 2)), "channels 0 and 1 hold different sound"),
        ((np.zeros(2 * RATE), noise(2, 1), noise(2, 2)), "channels 1 and 2 hold different sound"),
        ((noise(2, 1), 0.5 * noise(2, 1)), None),
    ],
)
def test_channels(channels: tuple[np.ndarray, np.ndarray], what: str | None, corpus: Corpus) -> None:
    corpus.add(np.stack(channels, axis=1), text="ba ki")
    found = look(corpus.write()).findings
    assert [finding.kind for finding in found] == (["channel"] if what else [])
    assert what is None or what in found[0].what


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_loud_tones_and_vowels_are_not_clipped(rate: int, corpus: Corpus) -> None:
    """A sine spends long at its top."""
    time = np.arange(2 * rate) / rate
    corpus.add(0.9 * np.sin(2 * np.pi * 200 * time) + 0.1 * noise(2, 1, rate), rate=rate, text="ba ki")
    assert look(corpus.write()).findings == []


def test_files_that_cannot_be_used(corpus: Corpus) -> None:
    for _ in range(6):
        corpus.add()
    files = [corpus.folder / row["audio"] for row in corpus.rows]
    files[0].unlink()
    files[1].write_bytes(b"no sound at all")
    files[2].write_bytes(files[2].read_bytes()[: files[2].stat().st_size // 2])
    corpus.rows[3]["duration"] = 60.0
    corpus.rows[4] |= {"start": 0.5, "duration": 60.0}
    samples = noise(2, 9)
    samples[100] = np.nan
    soundfile.write(files[5], samples, RATE, subtype="FLOAT")
    report = look(corpus.write())
    kinds = ("missing", "unreadable", "truncated", "truncated", "outside", "unreadable")
    assert reported(report) == {(kind, line) for line, kind in enumerate(kinds, start=1)}
    assert report.errors == report.findings
    assert all(
        finding.remedy and str(finding).startswith(f"{finding.file}:{finding.line}: error: ")
        for finding in report.findings
    )


def test_a_flac_that_was_cut_short(corpus: Corpus) -> None:
    corpus.add()
    path = corpus.folder / "cut.flac"
    soundfile.write(path, noise(5, 3), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    corpus.rows[0]["audio"] = path.name
    assert reported(look(corpus.write())) == {("truncated", 1)}


def test_files_a_little_short_are_warned_of(corpus: Corpus) -> None:
    """By the header alone, when they are decoded, and where the manifest wants more than there is."""
    for _ in range(3):
        corpus.add(noise(4, 3))
    wav, flac = (corpus.folder / f"cut.{suffix}" for suffix in ("wav", "flac"))
    for line, path in enumerate((wav, flac)):
        soundfile.write(path, noise(4, line + 5), RATE)
        path.write_bytes(path.read_bytes()[: round(0.95 * path.stat().st_size)])
        corpus.rows[line]["audio"] = path.name
    corpus.rows[2]["duration"] = 4.3
    assert reported(look(corpus.write())) >= {("short", 1), ("short", 2), ("short", 3)}
    assert reported(look(corpus.write(), quick=True)) >= {("short", 1), ("short", 3)}
    report = look(corpus.write())
    assert not report.errors
    assert "its header promises 4.00 s of sound, 3.80 s can be read" in next(map(str, report.findings))
    strict = check([Split.from_file(corpus.write())], strict=True, workers=1)
    assert {("truncated", 1), ("truncated", 2), ("truncated", 3)} <= reported(strict)


def test_streams_and_channels_of_a_line(corpus: Corpus) -> None:
    call = encode_parts(corpus.folder / "call.mkv", [(0, noise(3, 1))], RATE, others=[("fra", noise(3, 2))])
    stereo = corpus.folder / "call.wav"
    soundfile.write(stereo, np.stack([noise(3, 1), noise(3, 2)], axis=1), RATE)
    chosen = ({}, {"audio_stream": 1}, {"audio_stream": 7}, {"audio_channel": 0}, {"audio_channel": 2})
    for columns in chosen:
        corpus.add(noise(3, 9))
        corpus.rows[-1] |= {"audio": stereo.name if "audio_channel" in columns else call.name, **columns}
    found = {
        (kind, line) for kind, line in reported(look(corpus.write())) if kind in ("streams", "channel", "unreadable")
    }
    assert found == {("streams", 1), ("unreadable", 3), ("unreadable", 5)}


def test_channels_may_change_midway(corpus: Corpus) -> None:
    corpus.add()
    parts = [encode(corpus.folder / f"{name}.aac", samples, RATE).read_bytes() for name, samples in
             (("mono", noise(2, 1)), ("stereo", np.stack([noise(2, 2)] * 2, axis=1)))]  # fmt: skip
    (corpus.folder / "both.aac").write_bytes(b"".join(parts))
    corpus.rows[0]["audio"] = "both.aac"
    assert look(corpus.write()).errors == []


def test_lines_that_are_no_utterances(corpus: Corpus) -> None:
    for _ in range(3):
        corpus.add()
    corpus.rows[1]["duration"] = -1
    report = look(corpus.write())
    assert reported(report) == {("line", 2)}
    assert report.lines == {str(corpus.folder / "train.jsonl"): 2}
    path = corpus.write()
    path.write_text(path.read_text() + "{")
    report = look(path)
    assert reported(report) == {("line", 2), ("line", 4)}
    assert cleaning.clean(path, report.findings) == (2, 0, 2)
    *_, last = cleaning.outputs(path)[1].read_text().splitlines()
    assert json.loads(last)["quarantine_text"] == "{"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("b\u0430 ki", "mixed-scripts"),
        ("cafe\u0301 ba", "unicode"),
        ("ba\u200b ki", "unicode"),
        ("ba \x07 ki", "unicode"),
        ("caf\u00c3\u00a9 ba", "unicode"),
        ("ba \ufffd ki", "unreadable-character"),
        ("ba \ue000 ki", "unreadable-character"),
        ("Дом и café, 日本語のテキスト", None),
        ("naïve façade œuvre ß", None),
        ("CAF\u00c9\u00bb", None),
        ("\u00c5\u00a1koda", "unicode"),
        ("می\u200cخواهم", None),  # noqa: RUF001
        ("क्\u200dष", None),
    ],
)
def test_suspicious_characters(text: str, kind: str | None) -> None:
    mixed = ["mixed-scripts"] * (writing.mixture(text) is not None)
    assert [*(found for found, _ in writing.faults(text)), *mixed] == ([kind] if kind else [])
    if kind == "unicode":
        assert list(writing.faults(writing.repaired(text))) == []


@pytest.mark.parametrize("text", ["", "  ", "…?!"])
def test_texts_without_a_letter(text: str, corpus: Corpus) -> None:
    corpus.add()
    line = corpus.add(text=text)
    assert ("empty-text", line) in reported(look(corpus.write()))


def test_missing_texts_and_labels_where_others_have_them(corpus: Corpus, other: Corpus) -> None:
    corpus.add(label="yes")
    corpus.add(label="no", text="ba")
    other.seed = 100
    other.add(label="yes", text=None)
    other.add(label="maybe", text="ba")
    other.add(text="ba")
    assert reported(look(corpus.write(), other.write("test"))) == {
        ("no-text", 1),
        ("unknown-label", 2),
        ("no-label", 3),
    }


def test_classes_without_texts_are_no_findings(corpus: Corpus) -> None:
    for label in ("yes", "no", "yes"):
        corpus.add(label=label, text=None)
    assert look(corpus.write()).findings == []


def test_imbalance_is_said_once(corpus: Corpus) -> None:
    for number in range(21):
        corpus.add(label="yes" if number < 20 else "no", text=None)
    found = look(corpus.write()).findings
    assert [(finding.kind, finding.line, finding.severity) for finding in found] == [("imbalance", 21, "note")]
    assert "'yes' has 20 utterances, 'no' 1" in found[0].what


def test_texts_that_do_not_belong_to_their_audio(corpus: Corpus) -> None:
    for _ in range(60):
        corpus.add()
    long = corpus.add(noise(2.5, 7), text=" ".join(np.random.default_rng(0).choice(SYLLABLES, 33)))
    short = corpus.add(noise(9, 8), text="ba")
    with_pauses = corpus.add(
        np.concatenate([np.zeros(3 * RATE), noise(2.8, 9), np.zeros(3 * RATE)]), text="na na ki " * 4
    )
    report = look(corpus.write())
    assert reported(report) == {("speech-rate", long), ("speech-rate", short)}, with_pauses
    assert "too long" in report.findings[0].what
    assert "too short" in report.findings[1].what


def test_too_few_frames_for_ctc(corpus: Corpus) -> None:
    corpus.add(noise(0.4, 1), text="ba de ki lo mu na po ra si")
    corpus.add(noise(0.4, 2), text="aaaaaaaaaaa")  # 11 letters and 10 blanks between them, in 20 frames
    corpus.add(noise(0.4, 3), text="abcabcabcab")
    path = corpus.write()
    assert reported(look(path, quick=True)) == {("too-few-frames", 1), ("too-few-frames", 2)}
    assert look(path, quick=True, frame_rate=None).findings == []


def test_what_comes_twice(corpus: Corpus) -> None:
    corpus.add(text="ba ki", speaker="ann")
    corpus.add(text="Ba, ki!", speaker="ann")
    corpus.add(text="ba ki", speaker="bob")
    samples, _ = soundfile.read(corpus.folder / corpus.rows[0]["audio"], dtype="int16")
    corpus.add(samples, text="lo lo")
    flac = corpus.folder / "same.flac"
    soundfile.write(flac, samples, RATE)
    corpus.rows.append({"audio": flac.name, "text": "mu mu"})
    report = look(corpus.write())
    assert reported(report) == {("duplicate-text", 2), ("duplicate-audio", 4), ("duplicate-audio", 5)}
    assert all("line 1" in finding.what for finding in report.findings)


def test_excerpts_of_a_file_are_different_audio(corpus: Corpus) -> None:
    corpus.add(noise(4, 1), duration=2.0)
    corpus.rows.append(corpus.rows[0] | {"start": 2.0, "text": "lo lo mu na ki ba"})
    for quick in (True, False):
        assert look(corpus.write(), quick=quick).findings == []
    corpus.rows.append(corpus.rows[1] | {"text": "si si mu po ki na"})
    for quick in (True, False):
        assert reported(look(corpus.write(), quick=quick)) == {("duplicate-audio", 3)}


def test_both_sides_of_a_split(corpus: Corpus, other: Corpus) -> None:
    corpus.add()
    corpus.add(text="ba ki lo lo", speaker="ann")
    corpus.add(speaker="bob")
    samples, _ = soundfile.read(corpus.folder / corpus.rows[-1]["audio"])
    other.seed = 100
    other.add(samples, text="na na ki si")
    other.add(text="Ba Ki Lo Lo!")
    other.add(speaker="ann")
    train, test = corpus.write(), other.write("test")
    report = look(train, test)
    places = {(finding.kind, finding.file, finding.line) for finding in report.findings}
    assert places == {
        ("audio-in-both", str(train), 3),  # the training line goes: a test set has to stay what it was
        ("text-in-both", str(test), 2),
        ("speaker-in-both", str(test), 3),
    }
    assert f"{train}:2" in next(finding.what for finding in report.findings if finding.kind == "text-in-both")
    other.rows[0]["audio"] = str(corpus.folder / corpus.rows[2]["audio"])
    assert ("audio-in-both", 3) in reported(look(train, other.write("test"), quick=True))


def test_characters_that_training_does_not_know(corpus: Corpus, other: Corpus) -> None:
    corpus.add(text="ba ki")
    other.seed = 100
    other.add(text="ba kié ba")
    other.add(text="KI, ba")  # written "ki ba"
    report = look(corpus.write(), other.write("test"))
    assert reported(report) == {("unknown-character", 1)}
    assert "'é' does not occur in the training text (7.14% of the characters here)" in report.findings[0].what


def test_what_most_lines_have_is_said_once(corpus: Corpus) -> None:
    for _ in range(25):
        corpus.add()
        (corpus.folder / corpus.rows[-1]["audio"]).unlink()
    (finding,) = look(corpus.write()).findings
    assert (finding.line, finding.lines) == (1, tuple(range(1, 26)))
    assert finding.what.startswith("25 of 25 lines, the first: no such file")


@pytest.mark.slow
def test_processes_find_what_one_thread_finds(corpus: Corpus) -> None:
    for number in range(70):
        corpus.add(noise(0.3, number) * (number % 7 > 0), text="ba")
    path = corpus.write()
    splits = [Split.from_file(path)]
    assert check(splits, workers=2).to_dict() == check(splits, workers=1).to_dict()
    assert len(check(splits, workers=1).errors) == 10


def test_progress_is_reported_of_every_line(corpus: Corpus) -> None:
    class Counting(Progress):
        done = 0.0

        def task(self, description: str, total: float) -> Any:
            import contextlib

            @contextlib.contextmanager
            def counting() -> Any:
                def advance(done: float) -> None:
                    Counting.done += done / total

                yield advance

            return counting()

    for _ in range(3):
        corpus.add()
    check([Split.from_file(corpus.write())], quick=True, progress=Counting())
    assert Counting.done == pytest.approx(1.0)


def test_the_quick_form_says_errors_only(corpus: Corpus, other: Corpus) -> None:
    for _ in range(8):
        corpus.add(text="ba\u200bki")
        (corpus.folder / corpus.rows[-1]["audio"]).write_bytes(b"x")
    other.add()
    hearing = Hearing()
    manifests = {"dev": Manifest.read(other.write("dev")), "train": Manifest.read(corpus.write())}
    report = log_problems(manifests, progress=hearing)
    assert list(report.lines) == [str(manifests["train"].path), str(manifests["dev"].path)]
    assert len(hearing.lines) == 7
    assert all(": error: " in line for line in hearing.lines[:5])
    assert hearing.lines[5].endswith("… and 3 more [unreadable]")
    assert "8 errors" in hearing.lines[6]
    assert all("U+200B" not in line for line in hearing.lines)


def test_cleaning(corpus: Corpus) -> None:
    corpus.add()
    corpus.add(text="cafe\u0301 ba\u200b", extra=[1, 2])
    corpus.add(np.zeros(RATE))
    path = corpus.write()
    before = {file: file.read_bytes() for file in corpus.folder.iterdir()}
    assert cleaning.clean(path, look(path).findings) == (2, 1, 1)
    assert {file: file.read_bytes() for file in before} == before
    cleaned, quarantine = cleaning.outputs(path)
    rows = [json.loads(line) for line in cleaned.read_text().splitlines()]
    assert rows == [corpus.rows[0], corpus.rows[1] | {"text": "café ba"}]
    (taken,) = Manifest.read(quarantine)
    assert taken.extra["quarantine_line"] == 3
    assert taken.extra["quarantine_reasons"] == ["silent: silent: every sample is zero"]
    assert look(cleaned).findings == []
    with pytest.raises(ConfigError, match=r"train\.clean\.jsonl: exists already"):
        cleaning.check_outputs([path], overwrite=False)


def test_a_table_stays_one(corpus: Corpus) -> None:
    corpus.add()
    corpus.add()
    path = corpus.folder / "t.csv"
    names = [row["audio"] for row in corpus.rows]
    path.write_text(f"path,sentence,votes\n{names[0]},cafe\u0301,3\n{names[1]}.gone,b,\n")
    assert cleaning.clean(path, look(path).findings) == (1, 1, 1)
    assert (corpus.folder / "t.clean.csv").read_text() == f"path,sentence,votes\n{names[0]},café,3\n"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        # Persian with a Latin word in it: a non-joiner inside a word, and one before a space.
        ("iPhone \u0645\u06cc\u200c\u06a9\u0646\u0645\u200c !", "iPhone \u0645\u06cc\u200c\u06a9\u0646\u0645 !"),
        ("\u0dc1\u0dca\u200d\u0dbb\u0dd3 \u00ad", "\u0dc1\u0dca\u200d\u0dbb\u0dd3"),
        ("\u0d05\u0d35\u0d28\u0d4d\u200d\u200e", "\u0d05\u0d35\u0d28\u0d4d\u200d"),
        ("\u1780\u17b6\u200b\u1780\u17b6 a\u200bb", "\u1780\u17b6\u200b\u1780\u17b6 ab"),
        (
            "\U0001f469\u200d\U0001f680 \u2764\ufe0f\u200d\U0001f525 a\u200db",
            "\U0001f469\u200d\U0001f680 \u2764\ufe0f\u200d\U0001f525 ab",
        ),
        ("caf\ufffd \ue000\u00ad", "caf\ufffd \ue000"),  # a letter that was lost is not there again without its mark
        ("\u1820\u202f\u1824\u200e", "\u1820\u202f\u1824"),
        ("one\u2028two\x07", "one two"),
        ("\u0936\u093f\u0915\u094d\u0937\u093e\u200f", "\u0936\u093f\u0915\u094d\u0937\u093e"),
    ],
)
def test_a_repair_removes_nothing_that_a_text_needs(written: str, kept: str) -> None:
    assert writing.repaired(written) == kept
    assert writing.repaired(kept) == kept
    assert "unicode" not in {kind for kind, _ in writing.faults(kept)}


@given(st.text())
def test_a_repair_takes_no_letter_away(text: str) -> None:
    repaired = writing.repaired(text)
    found = " ".join(what for one in (text, repaired) for _, what in writing.faults(one))
    if "Latin-1" in found:  # then all of the text is another one
        return
    assert writing.repaired(repaired) == repaired
    if "in two pieces" not in found:
        letters = [one for one in text if unicodedata.category(one)[0] in "LMNPS"]
        assert [one for one in repaired if unicodedata.category(one)[0] in "LMNPS"] == letters


OMEGA = "k\u03c9"  # of a Latin alphabet that has taken the letter over


def test_a_language_that_mixes_alphabets_is_said_once_and_a_slip_by_its_line(corpus: Corpus) -> None:
    for number in range(40):
        corpus.add(text=f"ba {('ki', OMEGA)[number % 2]} {SYLLABLES[number % 10]} {number}")
    slip = corpus.add(text="ba d\u0435 ki")
    found = [finding for finding in look(corpus.write(), quick=True).findings if finding.kind == "mixed-scripts"]
    assert [len(finding.lines) for finding in sorted(found, key=lambda one: len(one.lines))] == [1, 20]
    assert found[0].line == slip or found[1].line == slip
    assert any("20 of 41 lines have words like" in finding.what and "\u03c9 (20)" in finding.what for finding in found)


@pytest.mark.parametrize("text", ["IP-\u0430\u0434\u0440\u0435\u0441", "\u03b2-carotene", "SMS'\u043a\u0430"])
def test_parts_of_a_word_may_be_of_different_alphabets(text: str) -> None:
    assert writing.mixture(text) is None


def test_a_manifest_without_any_text_is_a_finding(corpus: Corpus) -> None:
    for _ in range(2):
        corpus.add(text=None, words="ba")
    (finding,) = look(corpus.write(), quick=True).findings
    assert (finding.kind, finding.severity, finding.lines) == ("no-text", "error", ())
    assert "columns without a meaning for speechxfer: words" in finding.what


def test_classes_whose_names_differ_in_case(corpus: Corpus, other: Corpus) -> None:
    for label in ("yes", "yes ", "Yes", "no"):
        corpus.add(label=label, text=None)
    other.seed = 100
    other.add(label="NO", text=None)
    found = {finding.kind: finding for finding in look(corpus.write(), other.write("test"), quick=True).findings}
    assert found.keys() == {"label-spelling", "unknown-label"}
    assert "'yes' (2 lines), 'Yes' (1 lines)" in found["label-spelling"].what
    assert found["label-spelling"].lines == (3,)
    assert "no training utterance is labeled 'NO', but 'no'" in found["unknown-label"].what


def test_words_that_stand_for_nothing_are_said_once(corpus: Corpus) -> None:
    for text in ("nan", "None", "ba ki", "nan nan"):
        corpus.add(text=text)
    (finding,) = look(corpus.write(), quick=True).findings
    assert (finding.kind, finding.severity, finding.lines) == ("stand-in", "note", (1, 2))


def test_columns_that_choose_no_part_of_the_audio(corpus: Corpus) -> None:
    corpus.add(start_time=0.1, channel=1)
    (finding,) = look(corpus.write(), quick=True).findings
    assert finding.kind == "unused-column"
    assert "channel, start_time" in finding.what


def test_languages_are_known_by_code_and_by_name(corpus: Corpus) -> None:
    for language in ("Italian", "IT", "it-IT", None, "Klingon", "Klingon"):
        corpus.add(language=language)
    (finding,) = look(corpus.write(), quick=True).findings
    assert (finding.kind, finding.lines) == ("language", (5, 6))
    assert "2 of 6 lines have an unknown language: 'Klingon' (2)" in finding.what


def test_labels_of_several_classes(corpus: Corpus) -> None:
    for label in ("dog", ["dog", "cat"], "cat"):
        corpus.add(label=label, text=None)
    (finding,) = look(corpus.write(), quick=True).findings
    assert (finding.kind, finding.severity, finding.lines) == ("several-classes", "note", (2,))


def test_capitals_of_turkish(corpus: Corpus) -> None:
    corpus.add(text="\u0130zmir ba ki lo mu na")
    corpus.add(text="Isp ba ki lo mu na po")
    (finding,) = look(corpus.write(), quick=True).findings
    assert (finding.kind, finding.lines) == ("turkish", (2,))
    assert look(corpus.write(), quick=True, normalizer="basic-turkish").findings == []


@pytest.mark.parametrize("limits", [{"normalizer": "whisper-basic"}, {"scoring_normalizer": "whisper-basic"}])
def test_a_normalizer_that_takes_a_script_apart(corpus: Corpus, limits: dict[str, str]) -> None:
    for _ in range(2):
        corpus.add(text="\u0939\u093f\u0928\u094d\u0926\u0940 \u0915\u0940")
    hearing = Hearing()
    report = log_problems({"train": Manifest.read(corpus.write())}, Limits(**limits), hearing)
    (finding,) = [one for one in report.findings if one.kind == "normalizer"]
    assert finding.lines == (1, 2)
    assert "without its marks" in hearing.lines[0]


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.json"])
def test_a_cleaned_manifest_reads_as_the_old_one(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "m.csv":
        path.write_text("File Name;Text;Start;Label;;note\na.wav;one;0,25;['x'];;\nb.wav;two;1;;;\n", encoding="utf-16")
    elif name == "m.tsv":
        path.write_text('path\tsentence\tage\na.wav\t"one"\t\nb.wav\ttwo\t7\n')
    else:
        path.write_text('[{"audio": "a.wav", "text": null, "x": NaN},\n {"wav": "b.wav", "labels": ["a", "b"]}]')
    cleaning.clean(path, [])
    first, second = Manifest.read(path), Manifest.read(cleaning.outputs(path)[0])
    assert [dataclasses.replace(one, origin="") for one in first] == [
        dataclasses.replace(one, origin="") for one in second
    ]


def test_every_kind_says_what_to_do() -> None:
    for kind, about in KINDS.items():
        finding = Finding(kind, "a.jsonl", (2, 3), "something")
        assert str(finding) == f"a.jsonl:2: {about.severity}: something; {about.remedy} [{kind}]"
        assert finding.to_dict()["lines"] == [2, 3]


def test_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        Split.from_file(tmp_path / "none.jsonl")
    with pytest.raises(ConfigError, match=r"ends in '\.txt'"):
        Split.from_file(tmp_path / "none.txt")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="holds no utterances"):
        look(tmp_path / "empty.jsonl")
