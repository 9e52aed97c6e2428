"""`--help` and completion of the shell, which import no command."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import click
import pytest

from speechxfer.cli import _COMMANDS

LOADED = "import sys, atexit; atexit.register(lambda: print('\\nloaded', *[m for m in sys.modules if m in ('numpy', 'torch', 'speechxfer.cli.finetune')])); from speechxfer.cli import main; main()"  # noqa: E501


def completed(line: str) -> list[str]:
    """What bash is offered after a line."""
    words = line.split(" ")
    asked = {"_SPEECHXFER_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    command = [sys.executable, "-c", "from speechxfer.cli import main; main(prog_name='speechxfer')"]
    return subprocess.check_output(command, text=True, env=os.environ | asked).splitlines()


def test_help_imports_no_command():
    output = subprocess.check_output([sys.executable, "-c", LOADED, "--help"], text=True)
    assert "finetune" in output
    assert output.splitlines()[-1].split() == ["loaded"]


@pytest.mark.parametrize("name", _COMMANDS)
def test_the_list_of_commands_says_what_their_own_help_says(name):
    command: click.Command = getattr(importlib.import_module(f"speechxfer.cli.{name}"), name)
    assert command.get_short_help_str(1000) == click.Command(name, help=_COMMANDS[name]).get_short_help_str(1000)


def test_commands_options_and_models_are_completed():
    assert completed("speechxfer tr") == ["plain,transcribe"]
    assert "plain,--epochs" in completed("speechxfer finetune --ep")
    assert "plain,openai/whisper-tiny" in completed("speechxfer finetune --model openai/whisper-t")
    assert completed("speechxfer transcribe runs/ca") == ["file,runs/ca"]
