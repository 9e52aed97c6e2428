"""Help in groups."""

import click
import pytest
from click.testing import CliRunner

from speechxfer.cli import _COMMANDS, main
from speechxfer.cli.grouping import GroupedCommand

#: From so many options on, a list of them needs headings.
MANY = 13


def commands():
    """Every command, those inside groups of commands included."""
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in _COMMANDS}
    for name, command in list(found.items()):
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": one for inner, one in command.commands.items()}
    return found


def options(command):
    return [one for one in command.params if isinstance(one, click.Option)]


@pytest.mark.parametrize("name", [name for name, command in commands().items() if len(options(command)) >= MANY])
def test_a_command_with_many_options_lists_them_in_groups(name):
    command = commands()[name]
    assert isinstance(command, GroupedCommand)
    assert len(next(iter(command.groups.values()))) <= 10


@pytest.mark.parametrize("name", [name for name, command in commands().items() if isinstance(command, GroupedCommand)])
def test_each_heading_names_options_that_exist_and_each_option_once(name):
    command = commands()[name]
    named = [one for names in command.groups.values() for one in names]
    assert len(named) == len(set(named))
    assert set(named) <= {option.name for option in options(command)}


def test_the_help_shows_every_option_once_and_the_most_used_first():
    help_text = CliRunner().invoke(main, ["finetune", "--help"]).output
    headings = ["Most used:", "What is frozen", "Training:", "Text:", "Machine:", "Other options:"]
    places = [help_text.index(heading) for heading in headings]
    assert places == sorted(places)
    for option in options(commands()["finetune"]):
        assert help_text.count(f"  {option.opts[0]} ") + help_text.count(f"  {option.opts[0]}\n") >= 1, option.opts
    assert help_text.index("--resume") < help_text.index("--freeze-below")


def test_arguments_stand_in_the_usage_line_only():
    help_text = CliRunner().invoke(main, ["transcribe", "--help"]).output
    assert "INPUTS" in help_text.splitlines()[0]
    assert not [line for line in help_text.splitlines()[1:] if line.split() in (["MODEL"], ["INPUTS..."])]
