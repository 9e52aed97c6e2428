"""What a job wrote is measured against a manifest, without a model."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from speechxfer.cli import main
from speechxfer.data.manifest import Manifest
from speechxfer.errors import DataError
from speechxfer.jobs import shards
from speechxfer.jobs.output import JOB_FILE
from speechxfer.jobs.rows import Row
from speechxfer.jobs.shards import line
from speechxfer.jobs.transcripts import transcripts_of

WORD = {"text": "one", "start": 0.0, "end": 0.5, "confidence": 0.9}


@pytest.fixture(params=shards.FORMATS)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lines = [{"audio": "a.wav", "text": "one two", "start": 1, "duration": 2}, {"audio": "a.wav", "text": "three"},
             {"audio": "b.wav", "text": "four"}]  # fmt: skip
    Path("m.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    rows = [Row.of(utterance) for utterance in Manifest.read("m.jsonl")]
    found = [
        rows[0].result(text="one too", segments=[{"text": "one too", "start": 0.0, "end": 2.0, "words": [WORD]}]),
        rows[1].result(text="three", segments=[]),
        rows[2].result(error="b.wav: no such file"),
    ]
    out = tmp_path / "out"
    out.mkdir()
    (out / JOB_FILE).write_text("{}")
    for number, part in enumerate((found[2:], found[:2])):  # in any order
        shards.write(out / f"part-{number:06d}.{request.param}", b"".join(map(line, part)))
    return out


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", "out", "m.jsonl", *arguments])


def test_errors_are_counted_and_rows_with_an_error_are_named(folder: Path) -> None:
    result = run("--predictions", "p.jsonl")
    assert result.exit_code == 0, result.stderr
    scores = json.loads(result.stdout)
    assert scores["wer"] == pytest.approx(1 / 3)
    assert "1 of 3 utterances have an error and are not measured; the first is m.jsonl:3: b.wav: no such file" in result.stderr  # fmt: skip  # noqa: E501
    assert len(Path("p.jsonl").read_text().splitlines()) == 2


def test_words_keep_their_times(folder: Path) -> None:
    found = transcripts_of(folder, Manifest.read("m.jsonl"))
    assert [(word.text, word.end, word.confidence) for word in found.predictions[0].words] == [("one", 0.5, 0.9)]


def test_a_manifest_that_is_not_all_there_is_refused(folder: Path) -> None:
    with Path("m.jsonl").open("a") as file:
        file.write('{"audio": "c.wav", "text": "five"}\n')
    with pytest.raises(DataError, match=r"no row for 1 of 4 utterances, the first of which is m.jsonl:4"):
        transcripts_of(folder, Manifest.read("m.jsonl"))


def test_only_errors_are_no_result(folder: Path) -> None:
    with pytest.raises(DataError, match=r"all 1 rows have an error; the first is b.wav: no such file"):
        transcripts_of(folder, Manifest.read("m.jsonl")[2:])


@pytest.mark.parametrize(("options", "message"), [(("--beams", "4"), "leave out --beams"), (("--confusion", "c.png"), "leave out --confusion"), (("--engine", "ray"), "leave out --engine")])  # fmt: skip  # noqa: E501
def test_options_of_a_model_are_refused(folder: Path, options: tuple[str, ...], message: str) -> None:
    result = run(*options)
    assert result.exit_code
    assert message in result.stderr


@pytest.mark.parametrize(
    "line", ["[]", "{}", '{"id": 3}', '{"id": "a", "segments": [{"words": [{"text": "a"}]}]}', "\x00"]
)
def test_a_damaged_row_is_named(folder: Path, line: str) -> None:
    (folder / "part-000002.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=r"part-000002.jsonl: is damaged .*; remove the shard"):
        transcripts_of(folder, Manifest.read("m.jsonl"))
