"""`speechxfer check`: a doctor for data."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from speechxfer.cli.engine_options import Cluster, engine_options
from speechxfer.cli.grouping import GroupedCommand

if TYPE_CHECKING:
    from speechxfer.data.checks import Measured, Report

_MOST_SHOWN = 10

#: How the options are listed in the help.
_GROUPS = {
    "Most used": ("quick", "fix", "overwrite", "output", "everything"),
    "What counts as a fault": ("strict", "shortest", "longest", "normalizer"),
    "Where recordings are measured": ("workers", "engine", "address", "actors"),
}


@click.command(cls=GroupedCommand, groups=_GROUPS)
@click.argument("manifests", nargs=-1, required=True, metavar="TRAIN [DEV] [TEST]", type=click.Path(path_type=Path))
@click.option("--quick", is_flag=True, help="Read headers and texts only; no sound is decoded.")
@click.option("--strict", is_flag=True, help="Files a little shorter than they should be are errors, not warnings.")
@click.option("--fix", is_flag=True, help="Write X.clean.jsonl and X.quarantine.jsonl beside each X.jsonl.")
@click.option("--overwrite", is_flag=True, help="Replace what an earlier --fix wrote.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write all findings here.")
@click.option("--all", "everything", is_flag=True, help=f"Print all findings, not {_MOST_SHOWN} of a kind.")
@click.option("--shortest", default=0.1, show_default=True, help="Seconds of the shortest ordinary utterance.")
@click.option("--longest", default=30.0, show_default=True, help="Seconds of the longest ordinary utterance.")
@click.option("--normalizer", default="basic", show_default=True, help="Normalizer of texts before they are compared.")
@click.option("--workers", type=click.IntRange(1), help="Processes that decode.  [default: one a core]")
@engine_options("recordings")
def check(
    manifests: tuple[Path, ...],
    quick: bool,
    strict: bool,
    fix: bool,
    overwrite: bool,
    output: Path | None,
    everything: bool,
    shortest: float,
    longest: float,
    normalizer: str,
    workers: int | None,
    cluster: Cluster | None,
) -> None:
    """Find what is wrong with manifests, their audio and texts.

    The first manifest is for training; characters, labels and speech rates of the others are compared with it. The
    exit status is 1 if there are errors. --fix leaves out lines that are useless or in two splits (of those, the
    line in the manifest named first), repairs characters, and never touches audio.
    """
    import speechxfer as sx
    from speechxfer.ahead import available_cores
    from speechxfer.data.checks import cleaning, shortened
    from speechxfer.storage import write_json

    if fix:
        cleaning.check_outputs(manifests, overwrite=overwrite)
    if cluster and workers:
        raise click.UsageError("--workers are processes of this machine; pass --actors with --engine ray.")
    with _measured(cluster) if cluster else contextlib.nullcontext() as measured:
        report = sx.check(
            *manifests, quick=quick, strict=strict, shortest_s=shortest, longest_s=longest, normalizer=normalizer,
            workers=workers or available_cores(), measured=measured, progress=sx.TerminalProgress(),
        )  # fmt: skip
    most = len(report.findings) if everything else _MOST_SHOWN
    for line in shortened(report.findings, most):
        click.echo(line)
    if output:
        write_json(output, report.to_dict())
    if fix:
        _fix(manifests, report)
    click.echo(report.summary)
    if report.errors:
        click.get_current_context().exit(1)


@contextlib.contextmanager
def _measured(cluster: Cluster) -> Iterator[Measured]:
    """Sound is measured on a cluster, which is the same one for all manifests."""
    from speechxfer.jobs.on_ray import connected
    from speechxfer.jobs.sounds import measured

    with connected(cluster.address):
        yield functools.partial(measured, engine=cluster.engine("cpu", 0))


def _fix(manifests: tuple[Path, ...], report: Report) -> None:
    from speechxfer.data.checks import cleaning

    for manifest in manifests:
        kept, repaired, taken = cleaning.clean(manifest, report.findings)
        cleaned, quarantine = cleaning.outputs(manifest)
        where = f", {taken} in {quarantine.name}" if taken else ""
        written = f"{kept} lines, {repaired} of them with repaired text" if kept else "not written, no line is left"
        click.echo(f"{cleaned}: {written}{where}")
