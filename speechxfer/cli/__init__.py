"""The `speechxfer` command: options and printing, no logic; a command's module is imported when it is named."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from speechxfer import __version__
from speechxfer.cli import streams
from speechxfer.errors import SpeechxferError
from speechxfer.extras import explained
from speechxfer.registry import MissingPackageWarning, PluginWarning

#: Commands and the first sentence of their help, so that `--help` and completion import none of them.
_COMMANDS = {
    "align": "Find when each word of TEXT is said in AUDIO.",
    "cache": "Show the cache of hidden states on disk, a line for each model and layer index, the largest first.",
    "calibrate": "Correct the confidences of MODEL's words, so that of those with 0.8, eight in ten are right.",
    "check": "Find what is wrong with manifests, their audio and texts.",
    "classify": "Classify INPUTS, with probabilities.",
    "compare": "Test whether B is significantly better than A on MANIFEST.",
    "doctor": "Check versions, GPU and audio decoders; exit status 1 where something is wrong.",
    "evaluate": "Transcribe or classify MANIFEST with MODEL; scores with intervals as JSON, and the worst utterances.",
    "export": "Write the adapted MODEL, a model's folder or a run's, to the folder OUTPUT for another runtime.",
    "finetune": "Adapt a pre-trained encoder to your audio, and measure it before and after.",
    "interpolate": "Measure the models between the one a finished RUN began with and the one it ended with.",
    "listen": "Transcribe sound while it comes in: from the microphone, or with - from the standard input.",
    "lm": "Train, tune and judge language models, which make a CTC model write words rather than sounds.",
    "manifest": "Make, convert and look at manifests: JSONL, CSV or TSV files with an utterance a line.",
    "models": "List and inspect models.",
    "plan": "Measure data and models, try promising plans, and write the best one.",
    "probe": "Train the same light head on every layer of a frozen model: which layer is best for your task?",
    "report": "Write RUN/report.html again and print where it is.",
    "serve": "Serve MODELs to clients of OpenAI's transcription interface, and to people by a page.",
    "suggest": "Choose the recordings of a manifest whose transcripts would help MODEL most.",
    "transcribe": "Transcribe INPUTS.",
}


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        limit = formatter.width - 6 - max(map(len, _COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, click.Command(name, help=what).get_short_help_str(limit)) for name, what in _COMMANDS.items()]
            )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands and options that begin with what was typed."""
        commands = [CompletionItem(name, help=what) for name, what in _COMMANDS.items() if name.startswith(incomplete)]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

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
