"""`speechxfer doctor`: whether this machine can do the work, and what to do where it cannot."""

from __future__ import annotations

import sys

import click


@click.command()
def doctor() -> None:
    """Check versions, GPU and audio decoders; exit status 1 where something is wrong."""
    from speechxfer.cli.diagnosis import examine

    checks = examine()
    for check in checks:
        click.echo(f"{'ok  ' if check.good else 'BAD '} {check.name:<14} {check.found}")
        if check.remedy:
            click.echo(f"     {'':<14} -> {check.remedy}")
    if not all(check.good for check in checks):
        sys.exit(1)
