"""The page of all commands, from Click."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from speechxfer.cli import main
from speechxfer.cli.grouping import GroupedCommand

_INTRODUCTION = """# Commands

Every command with its options, generated from the program. `speechxfer COMMAND --help` prints the same.

The exit status is 0 when all went well, 1 when part of the work failed, and 2 for a mistake in what was asked for;
after Ctrl-C it is 130.
"""


def page() -> str:
    """The page in Markdown."""
    return "\n".join([_INTRODUCTION, *(_section(context) for context in contexts())])


def contexts() -> Iterator[click.Context]:
    """The context of each command that does something, in the order of the help."""
    yield from _inside(click.Context(main, info_name="speechxfer"))


def _inside(context: click.Context) -> Iterator[click.Context]:
    if not isinstance(context.command, click.Group):
        yield context
        return
    for name in context.command.list_commands(context):
        if command := context.command.get_command(context, name):
            yield from _inside(click.Context(command, parent=context, info_name=name))


def _section(context: click.Context) -> str:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [
        f"## {context.command_path.removeprefix('speechxfer ')}",
        f"```text\n{usage}\n```",
        inspect.cleandoc(command.help or ""),
    ]
    for heading, names in _groups(command).items():
        parts += [f"**{heading}**", *_options(context, names)]
    return "\n\n".join(parts) + "\n"


def _groups(command: click.Command) -> dict[str, list[str]]:
    """Names of options by heading; an option under no heading comes last, as in the help."""
    named = {key: list(names) for key, names in command.groups.items()} if isinstance(command, GroupedCommand) else {}
    known = {name for names in named.values() for name in names}
    options = dict.fromkeys(str(one.name) for one in command.params if isinstance(one, click.Option))
    others = [name for name in options if name not in known]
    return {**named, "Other options" if named else "Options": others} if others else named


def _options(context: click.Context, names: list[str]) -> Iterator[str]:
    """A definition for each option."""
    for parameter in sorted(context.command.params, key=lambda one: _place(one, names)):
        if parameter.name in names and (record := parameter.get_help_record(context)):
            yield f"`{record[0]}`\n:   {record[1] or '(no description)'}"


def _place(parameter: click.Parameter, names: list[str]) -> int:
    return names.index(str(parameter.name)) if parameter.name in names else len(names)
