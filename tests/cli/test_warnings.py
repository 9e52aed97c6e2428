"""What the commands print to standard error: nothing that a library wants its developers to know."""

import subprocess
import sys

from speechxfer.cli import main

NOISY = """
import warnings, click
from speechxfer.cli import Command
@click.command(cls=Command)
def noisy():
    warnings.warn("old", FutureWarning)
    click.echo("done")
noisy()
"""


def run(*arguments, statuses=(0,)):
    """Standard error of the command in a process of its own, as a user starts it."""
    command = [sys.executable, "-m", "speechxfer", *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode in statuses, finished.stderr
    return finished.stderr


def test_the_usual_commands_print_no_library_s_warning(corpus, tmp_path):
    train, dev, test = corpus("train", ["a b", "b", "ab", "ba"]), corpus("dev", ["b a"]), corpus("test", ["a b", "ba"])
    output = tmp_path / "run"
    settings = ("--set", "training.epochs=1", "--set", "training.batch_seconds=4", "--test", test, "--output", output)
    printed = [
        run("check", train, statuses=(0, 1)),
        run("finetune", "--model", "wav2vec2-nano", "--train", train, "--dev", dev, *settings),
        run("evaluate", output / "model", test),
        run("transcribe", output / "model", test.parent / "test0.wav"),
        run("models", "show", output / "model"),
        run("report", output),
    ]
    for text in printed:
        assert not any(word in text for word in ("Warning", "warnings.warn", "deprecat", "site-packages")), text


def test_a_warning_during_a_command_is_not_printed(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    command = [sys.executable, tmp_path / "noisy.py"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (finished.stdout, finished.stderr) == ("done\n", "")
    finished = subprocess.run([command[0], "-W", "default", command[1]], capture_output=True, text=True, check=True)
    assert "FutureWarning: old" in finished.stderr


def test_commands_in_this_process_leave_the_filters_as_they_are():
    before = list(sys.modules["warnings"].filters)
    main(["--help"], standalone_mode=False)
    assert sys.modules["warnings"].filters == before
