"""What `check` measures, computed where rows are."""

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import speechxfer as sx
from speechxfer.errors import SpeechxferError
from speechxfer.jobs import parts as dealing
from speechxfer.jobs.output import Done
from speechxfer.jobs.parts import Parts
from speechxfer.jobs.rows import failed
from speechxfer.jobs.running import Here
from speechxfer.jobs.sounds import measured
from speechxfer.jobs.work import Work, computed, done_of


@pytest.fixture
def manifest(corpus) -> Path:
    path: Path = corpus("train", ["ab", "abc", "a b c", "cab"])
    (path.parent / "torn.wav").write_bytes((path.parent / "train0.wav").read_bytes()[:30])
    lines = [
        {"audio": "train1.wav", "text": "b", "start": 0.1, "duration": 0.2}, {"audio": "gone.wav", "text": "a"},
        {"audio": "torn.wav", "text": "a"}, {"audio": "train0.wav", "text": "ab"}, {"audio": ""},
    ]  # fmt: skip
    with path.open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
    return path


class Backwards:
    """The last part first."""

    def results(self, work: Work, parts: Parts, versions: Mapping[str, str]) -> Iterator[Done]:
        for part in list(parts)[::-1]:
            yield from reversed(list(computed(part.rows, work.open())))


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("engine", [Here(), Backwards()])
def test_findings_are_those_of_check(
    manifest: Path, engine: Here | Backwards, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealing, "_PART_ROWS", 3)
    wanted = sx.check(manifest, quick=quick, workers=1)
    found = sx.check(manifest, quick=quick, measured=functools.partial(measured, engine=engine))
    assert found == wanted
    assert {"missing", "unreadable", "line"} <= {finding.kind for finding in found.errors}
    assert [finding.line for finding in found.findings if finding.kind == "duplicate-audio"] == [8]


class Losing:
    """Workers are lost over all rows."""

    def results(self, work: Work, parts: Parts, versions: Mapping[str, str]) -> Iterator[Done]:
        for row in next(parts).rows:
            yield done_of(failed(row, SpeechxferError("3 workers were lost over it")))


def test_a_recording_over_which_workers_are_lost_is_an_error_of_its_line(corpus) -> None:
    path = corpus("train", ["ab", "abc"])
    found = sx.check(path, measured=functools.partial(measured, engine=Losing()))
    assert [finding.kind for finding in found.errors] == ["unreadable"] * 2
    assert "3 workers were lost over it" in str(found.errors[0])


class Counting:
    """Computes here, and notes how many rows each part has."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def results(self, work: Work, parts: Parts, versions: Mapping[str, str]) -> Iterator[Done]:
        for part in parts:
            self.rows.append(len(part.rows))
            yield from computed(part.rows, work.open())


def test_parts_grow_once_it_is_known_how_short_the_recordings_are(corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dealing, "_PART_S", 60.0)
    path, engine = corpus("train", ["ab", "abc", "a b c", "cab"] * 3), Counting()
    sx.check(path, measured=functools.partial(measured, engine=engine))
    assert engine.rows == [2, 10]
