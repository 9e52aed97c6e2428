"""The `speechxfer` command: options and printing, no logic; a command's module is imported when it is named."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import click

from speechxfer import __version__
from speechxfer.cli import streams
from speechxfer.errors import SpeechxferError
from speechxfer.extras import explained
from speechxfer.registry import MissingPackageWarning, PluginWarning

_COMMANDS = (
    "align",
    "cache",
    "calibrate",
    "check",
    "classify",
    "compare",
    "doctor",
    "evaluate",
    "export",
    "finetune",
    "interpolate",
    "listen",
    "lm",
    "manifest",
    "models",
    "plan",
    "probe",
    "report",
    "serve",
    "suggest",
    "transcribe",
)


class Command(click.Command):
    """Prints a user's mistake as one line, without a traceback; recipes are such commands too."""

    def main(self, args: Sequence[str] | None = None, *arguments: Any, **options: Any) -> Any:
        """Run the process's own command line where `args` is None.

        Warnings of libraries are for developers, who see them in the tests and with `python -W default`; those of a
        package that adds a head, say, and cannot be imported, are for the user.
        """
        if args is None:
            streams.prepare()
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
                for kind in (PluginWarning, MissingPackageWarning):
                    warnings.simplefilter("once", kind)
                warnings.showwarning = _show_warning
        return super().main(args, *arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; what was wrong goes to standard error, and its kind into the exit status."""
        try:
            with explained(), streams.full_disk_reported():
                return super().invoke(ctx)
        except SpeechxferError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_status)


class _Commands(Command, click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        """Name the new option where one is given by its old name."""
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            from speechxfer.config import renamed_option

            if error.ctx and (new := renamed_option(error.option_name)) in _options(error.ctx.command):
                raise click.UsageError(f"{error.option_name} is now {new}; use the new name", error.ctx) from error
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"speechxfer.cli.{cmd_name}"), cmd_name)
        return command


def _options(command: click.Command) -> list[str | None]:
    return [option for parameter in command.params for option in parameter.opts]


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="speechxfer")
def main() -> None:
    """Adapt a pre-trained speech encoder to the audio of one domain, measure it, and use it."""


def _show_warning(message: Warning | str, *_where: object, **_options: object) -> None:
    click.echo(f"Warning: {message}", err=True)
