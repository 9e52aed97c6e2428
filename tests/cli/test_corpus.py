"""`speechxfer transcribe --output`: rows of manifests in shards."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from speechxfer import extras
from speechxfer.cli import main
from speechxfer.jobs import work
from tests.jobs.stand_ins import Echo


@pytest.fixture(autouse=True)
def _without_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.jsonl").write_text('{"audio": "a.wav", "duration": 3600}\n{"audio": "b.wav"}\n{"audio": "a.wav", "duration": 3600}\n')  # fmt: skip  # noqa: E501


@pytest.fixture
def _echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "Transcription", lambda *_arguments: Echo())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["transcribe", "some-model", *arguments])


@pytest.mark.usefixtures("_echo")
def test_each_line_is_a_row_and_the_second_time_nothing_is_done() -> None:
    result = run("m.jsonl", "--output", "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "2 rows with 1.0 h of audio, 1 came twice; the results are in out\n"
    rows = [json.loads(line) for line in Path("out/part-000000.jsonl").read_text().splitlines()]
    assert [Path(row["audio"]).name for row in rows] == ["a.wav", "b.wav"]
    again = run("m.jsonl", "--output", "out")
    assert again.stderr == "0 rows with 0 s of audio, 2 were done before, 1 came twice; the results are in out\n"


@pytest.mark.usefixtures("_echo")
def test_rows_with_an_error_are_tried_again_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(work, "Transcription", lambda *_arguments: Echo(problem="fails"))
        assert run("m.jsonl", "--output", "out").exit_code == 1
    assert "2 were done before" in run("m.jsonl", "--output", "out").stderr
    result = run("m.jsonl", "--output", "out", "--retry-failed")
    assert (result.exit_code, result.stderr) == (
        0,
        "2 rows with 1.0 h of audio, 1 came twice; the results are in out\n",
    )


@pytest.mark.usefixtures("_echo")
def test_lines_that_cannot_be_used_are_listed_and_the_rest_goes_on() -> None:
    Path("m.jsonl").write_text('{"audio": "a.wav"}\n{"audio": ""}\n{"audio": "b.wav"}\n')
    result = run("m.jsonl", "--output", "out")
    assert result.exit_code == 1
    assert "2 rows" in result.stderr
    assert "Error: m.jsonl:2: audio is empty" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["m.jsonl"], "m.jsonl is a manifest; add --output FOLDER"),
        (["a.wav", "--format", "parquet"], "--format parquet is for shards; add --output FOLDER"),
        (["a.wav", "--retry-failed"], "--retry-failed is for the rows of a folder; add --output FOLDER"),
        (["m.jsonl", "--engine", "ray"], "--engine ray writes shards; add --output FOLDER"),
        (["m.jsonl", "--output", "out", "--address", "auto"], "--address and --actors are for --engine ray"),
        (["m.jsonl", "--output", "out", "--format", "srt"], "--output writes --format jsonl or parquet, and not srt"),
        (["m.jsonl", "--output", "out", "--output-dir", "texts"], "leave out the options for single files"),
        (["m.jsonl", "--output", "out", "--audio-channel", "0"], "leave out the options for single files"),
        (["m.jsonl", "--output", "out", "--engine", "ray", "--device", "cuda:1"], "Ray chooses which"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: list[str], message: str) -> None:
    if "--device" in options:
        pytest.importorskip("ray")
    result = run(*options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path("out").exists()


def test_a_model_that_is_not_there_leaves_no_folder() -> None:
    result = run("m.jsonl", "--output", "out")
    assert result.exit_code == 1
    assert "some-model" in result.stderr
    assert not Path("out").exists()


def test_ray_that_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "is_installed", lambda _module: False)
    result = run("m.jsonl", "--output", "out", "--engine", "ray")
    assert result.exit_code == 2
    assert result.stderr == "Error: --engine ray needs ray, but ray is not installed; python -m pip install 'speechxfer[ray]'\n"  # fmt: skip  # noqa: E501
