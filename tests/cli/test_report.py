"""`speechxfer report`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from speechxfer.cli import main
from speechxfer.config import FinetuneConfig, to_dict


def run_folder(path: Path) -> Path:
    import tomli_w

    path.mkdir()
    config = FinetuneConfig(model="tiny", train="train.jsonl", dev="dev.jsonl", output=str(path))
    (path / "config.toml").write_text(tomli_w.dumps(to_dict(config)))
    return path


def test_writes_the_page_and_says_where_it_is(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    result = CliRunner().invoke(main, ["report", str(folder)])
    assert result.exit_code == 0, result.output
    assert result.output == f"{folder}/report.html\n"
    assert "<h1>run</h1>" in (folder / "report.html").read_text()
    assert not (folder / "model").exists()


def test_writes_the_model_card_where_asked(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    result = CliRunner().invoke(main, ["report", str(folder), "--model-card"])
    assert result.exit_code == 2
    assert f"Error: {folder}: has no model yet" in result.output
    (folder / "model").mkdir()
    result = CliRunner().invoke(main, ["report", str(folder), "--model-card"])
    assert result.output.splitlines() == [f"{folder}/report.html", f"{folder}/model/README.md"]


def test_what_is_no_run_is_reported_in_a_line(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    (folder / "model").mkdir()
    for given, shown in (
        (tmp_path / "nowhere", "there is no such folder"),
        (folder / "config.toml", "is a file; wanted the folder of a run"),
        (tmp_path, "is not a run (no config.toml)"),
        (folder / "model", f"did you mean {folder}?"),
    ):
        result = CliRunner().invoke(main, ["report", str(given)])
        assert result.exit_code == 2
        assert shown in result.output
        assert result.output.count("\n") == 1


def test_needs_no_torch(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    program = (
        "import sys; from speechxfer.report import write_report; from pathlib import Path; "
        f"write_report(Path({str(folder)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_run_whose_settings_are_damaged_is_reported_in_a_line(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    for settings in ("a = = b", "", "nope = 1", "\ufeff[training]\nepochs = -1", "\x00"):
        (folder / "config.toml").write_text(settings, encoding="utf-8")
        for command in (["report"], ["finetune", "--resume", "--config"]):
            place = folder / "config.toml" if len(command) > 1 else folder
            result = CliRunner().invoke(main, [*command, str(place)])
            assert result.exit_code == 2
            assert result.output.count("\n") == 1
            assert result.output.startswith("Error: ")


def test_a_run_of_an_earlier_version_is_named_by_every_command_that_reads_it(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    (folder / "model").mkdir()
    for name in ("before.json", "metrics.json"):
        (folder / name).write_text("{}")
    config = str(folder / "config.toml")
    for arguments in (["report", str(folder)], ["interpolate", str(folder)], ["finetune", "--config", config, "--resume"]):  # fmt: skip  # noqa: E501
        result = CliRunner().invoke(main, arguments)
        assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
        assert f"{folder}: was written by an earlier version of speechxfer (before.json)" in result.output
        assert f"{folder}/model can still be used, but the run has to start again" in result.output
