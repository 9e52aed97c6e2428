"""What the commands print to standard error: nothing that a library wants its developers to know."""

import json
import subprocess
import sys

import pytest

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


#: Commands one after the other, as `python -m speechxfer` starts them; libraries are imported once for all.
COMMANDS = """
import json, runpy, sys
for arguments, statuses in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        runpy.run_module("speechxfer", run_name="__main__")
    except SystemExit as end:
        if end.code not in statuses:
            sys.exit(f"{arguments} ended with {end.code}")
print("all", file=sys.stderr)
"""


@pytest.mark.slow
def test_the_usual_commands_print_no_library_s_warning(corpus, tmp_path):
    train, dev, test = corpus("train", ["a b", "b", "ab", "ba"]), corpus("dev", ["b a"]), corpus("test", ["a b", "ba"])
    output = tmp_path / "run"
    settings = ("--set", "training.epochs=1", "--set", "training.batch_seconds=4", "--test", test, "--output", output)
    commands = [
        ("check", train),
        ("finetune", "--model", "wav2vec2-nano", "--train", train, "--dev", dev, *settings),
        ("evaluate", output / "model", test),
        ("transcribe", output / "model", test.parent / "test0.wav"),
        ("models", "show", output / "model"),
        ("report", output),
    ]
    asked = [([str(one) for one in arguments], (0, 1) if arguments[0] == "check" else (0,)) for arguments in commands]
    command = [sys.executable, "-c", COMMANDS, json.dumps(asked)]
    printed = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert printed.endswith("all\n"), printed
    assert not any(word in printed for word in ("Warning", "warnings.warn", "deprecat", "site-packages")), printed


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
