"""`speechxfer interpolate`: between what a model knew and what it has learned."""

from __future__ import annotations

import json
from pathlib import Path

import click

from speechxfer.cli.moved import moved_options, places
from speechxfer.cli.paths import PATH
from speechxfer.errors import ConfigError


@click.command()
@click.argument("run", type=PATH)
@click.option("--points", metavar="LIST", help="Fractions of the adapted weights to measure (default: 0,0.1,...,1).")
@click.option("--at", "alpha", type=float, metavar="ALPHA", help="Save the model at this point.")
@click.option("--keep-gain", type=float, metavar="FRACTION", help="Save the model that keeps this fraction of the gain (such as 0.9) and forgets least.")  # fmt: skip  # noqa: E501
@click.option("--output", type=PATH, help="Folder for the saved model (default: RUN/interpolated).")
@moved_options
@click.option("--model", help="Where the model that the run began with is now, if it has been moved.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def interpolate(
    run: Path, points: str | None, alpha: float | None, keep_gain: float | None, output: Path | None,
    model: str | None, device: str, **moved: Path | None,
) -> None:  # fmt: skip
    """Measure the models between the one a finished RUN began with and the one it ended with.

    Their weights are mixed, and each mixture is measured on dev (what was gained) and on the run's --retain manifest
    (what was lost). The curve goes to RUN/interpolation.json and into the report; --at or --keep-gain save a model.
    """
    _check(alpha, keep_gain, output)
    from speechxfer.cli.terminal import TerminalProgress
    from speechxfer.report import write_report
    from speechxfer.report.run import read_run
    from speechxfer.runs import RunFolder
    from speechxfer.storage import only_writer
    from speechxfer.training.interpolation import POINTS, Interpolation, checked_points, parse_points

    progress = TerminalProgress()
    wanted = checked_points([*(POINTS if points is None else parse_points(points)), *([] if alpha is None else [alpha])])  # fmt: skip  # noqa: E501
    RunFolder(run).check_finished()
    found = places(moved) | ({"model": model} if model else {})
    with only_writer(RunFolder(run).lock, str(run)):
        read_run(run, places(moved))  # what the report could not show is reported before the work
        line = Interpolation(run, device=device, places=found, progress=progress)
        if line.encoder_only:
            progress.log("the head was new, so only the encoder is mixed; all points have the adapted head")
        elif line.unpadded:
            progress.log("alpha 0 has the original's weights, but receives utterances without the silence up to 30 s that the original was trained on, and so does worse than it; a run with --pad-to-30s begins at the original itself")  # fmt: skip  # noqa: E501
        curve = line.curve(wanted)
        progress.table("", ("alpha", "dev", "gain kept", "retained", "loss"), curve.rows())
        if alpha is not None or keep_gain is not None:
            chosen = next(point for point in curve.points if point.alpha == alpha) if keep_gain is None else curve.best(keep_gain)  # fmt: skip  # noqa: E501
            folder = output or RunFolder(run).interpolated
            line.at(chosen.alpha).save(folder)
            progress.log(f"{curve.describe(chosen)}; model: {folder}")
        write_report(run, places(moved))
    click.echo(json.dumps(curve.to_list(), indent=2))


def _check(alpha: float | None, keep_gain: float | None, output: Path | None) -> None:
    """Look for options that contradict each other, and for a folder that must not be replaced."""
    from speechxfer.encoders.checkpoints import MODEL_FILE

    if alpha is not None and keep_gain is not None:
        raise click.UsageError("--at names a point and --keep-gain looks for one; give one of them")
    if keep_gain is not None and not 0 <= keep_gain <= 1:
        raise ConfigError(f"--keep-gain is {keep_gain:g}; wanted a fraction from 0 to 1")
    if output is None:
        return
    if alpha is None and keep_gain is None:
        raise ConfigError(f"--output {output}: which model is to be saved there? Say so by --at or --keep-gain")
    if output.exists() and not (output.is_dir() and ((output / MODEL_FILE).is_file() or not any(output.iterdir()))):
        raise ConfigError(f"--output {output}: holds something else than a model of speechxfer, which is not replaced; choose another folder")  # fmt: skip  # noqa: E501
