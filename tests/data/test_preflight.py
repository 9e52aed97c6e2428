"""Each defect planted into sound and texts that are otherwise in order, and what stays silent about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from speechxfer.data.manifest import Manifest
from speechxfer.data.preflight import KINDS, Finding, Limits, Report, Split, check, cleaning, say_errors, writing
from speechxfer.errors import ConfigError, DataError
from speechxfer.progress import Progress

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


def look(*paths: Path, quick: bool = False, **limits: Any) -> Report:
    return check([Split.from_file(path) for path in paths], Limits(**limits), quick=quick, workers=1)


def told(report: Report) -> set[tuple[str, int | None]]:
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
    "channel": lambda: (np.stack([noise(2, 0), np.zeros(2 * RATE)], axis=1), RATE),
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
    assert told(look(corpus.write())) == {(kind, line)}


@pytest.mark.parametrize(
    ("channels", "what"),
    [
        ((noise(2, 1), -noise(2, 1)), "cancel each other"),
        ((noise(2, 1), noise(2, 2)), "different sound"),
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
    assert told(report) == {(kind, line) for line, kind in enumerate(kinds, start=1)}
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
    assert told(look(corpus.write())) == {("truncated", 1)}


def test_lines_that_are_no_utterances(corpus: Corpus) -> None:
    for _ in range(3):
        corpus.add()
    corpus.rows[1]["duration"] = -1
    report = look(corpus.write())
    assert told(report) == {("line", 2)}
    assert report.lines == {str(corpus.folder / "train.jsonl"): 2}
    path = corpus.write()
    path.write_text(path.read_text() + "{")
    report = look(path)
    assert told(report) == {("line", 2), ("line", 4)}
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
    assert ("empty-text", line) in told(look(corpus.write()))


def test_missing_texts_and_labels_where_others_have_them(corpus: Corpus, other: Corpus) -> None:
    corpus.add(label="yes")
    corpus.add(label="no", text="ba")
    other.seed = 100
    other.add(label="yes", text=None)
    other.add(label="maybe", text="ba")
    other.add(text="ba")
    assert told(look(corpus.write(), other.write("test"))) == {("no-text", 1), ("unknown-label", 2), ("no-label", 3)}


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
    assert told(report) == {("speech-rate", long), ("speech-rate", short)}, with_pauses
    assert "too long" in report.findings[0].what
    assert "too short" in report.findings[1].what


def test_too_few_frames_for_ctc(corpus: Corpus) -> None:
    corpus.add(noise(0.4, 1), text="ba de ki lo mu na po ra si")
    corpus.add(noise(0.4, 2), text="aaaaaaaaaaa")  # 11 letters and 10 blanks between them, in 20 frames
    corpus.add(noise(0.4, 3), text="abcabcabcab")
    path = corpus.write()
    assert told(look(path, quick=True)) == {("too-few-frames", 1), ("too-few-frames", 2)}
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
    assert told(report) == {("duplicate-text", 2), ("duplicate-audio", 4), ("duplicate-audio", 5)}
    assert all("line 1" in finding.what for finding in report.findings)


def test_excerpts_of_a_file_are_different_audio(corpus: Corpus) -> None:
    corpus.add(noise(4, 1), duration=2.0)
    corpus.rows.append(corpus.rows[0] | {"start": 2.0, "text": "lo lo mu na ki ba"})
    for quick in (True, False):
        assert look(corpus.write(), quick=quick).findings == []
    corpus.rows.append(corpus.rows[1] | {"text": "si si mu po ki na"})
    for quick in (True, False):
        assert told(look(corpus.write(), quick=quick)) == {("duplicate-audio", 3)}


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
    assert ("audio-in-both", 3) in told(look(train, other.write("test"), quick=True))


def test_characters_that_training_does_not_know(corpus: Corpus, other: Corpus) -> None:
    corpus.add(text="ba ki")
    other.seed = 100
    other.add(text="ba kié ba")
    other.add(text="KI, ba")  # written "ki ba"
    report = look(corpus.write(), other.write("test"))
    assert told(report) == {("unknown-character", 1)}
    assert "'é' does not occur in the training text (7.14% of the characters here)" in report.findings[0].what


def test_what_most_lines_have_is_said_once(corpus: Corpus) -> None:
    for _ in range(25):
        corpus.add()
        (corpus.folder / corpus.rows[-1]["audio"]).unlink()
    (finding,) = look(corpus.write()).findings
    assert (finding.line, finding.lines) == (1, tuple(range(1, 26)))
    assert finding.what.startswith("25 of 25 lines, the first: no such file")


def test_processes_find_what_one_thread_finds(corpus: Corpus) -> None:
    for number in range(70):
        corpus.add(noise(0.3, number) * (number % 7 > 0), text="ba")
    path = corpus.write()
    splits = [Split.from_file(path)]
    assert check(splits, workers=2).to_dict() == check(splits, workers=1).to_dict()
    assert len(check(splits, workers=1).errors) == 10


def test_progress_is_told_of_every_line(corpus: Corpus) -> None:
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
    class Hearing(Progress):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def say(self, message: str) -> None:
            self.lines.append(message)

    for _ in range(8):
        corpus.add(text="ba\u200bki")
        (corpus.folder / corpus.rows[-1]["audio"]).write_bytes(b"x")
    other.add()
    hearing = Hearing()
    manifests = {"dev": Manifest.read(other.write("dev")), "train": Manifest.read(corpus.write())}
    report = say_errors(manifests, progress=hearing)
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
