"""`speechxfer interpolate`: between what a model knew and what it has learned."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--points", metavar="LIST", help="Shares of the adapted weights to measure (default: 0,0.1,...,1).")
@click.option("--at", "alpha", type=float, metavar="ALPHA", help="Save the model at this point.")
@click.option("--keep-gain", type=click.FloatRange(0, 1), metavar="SHARE", help="Save the model that keeps this share of the gain (such as 0.9) and forgets least.")  # fmt: skip  # noqa: E501
@click.option("--output", type=click.Path(path_type=Path), help="Folder for the saved model (default: RUN/interpolated).")  # fmt: skip  # noqa: E501
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def interpolate(
    run: Path, points: str | None, alpha: float | None, keep_gain: float | None, output: Path | None, device: str
) -> None:
    """Measure the models between the one a finished RUN began with and the one it ended with.

    Their weights are mixed, and each mixture is measured on dev (what was gained) and on the run's --retain manifest
    (what was lost). The curve goes to RUN/interpolation.json and into the report; --at or --keep-gain save a model.
    """
    if alpha is not None and keep_gain is not None:
        raise click.UsageError("--at names a point and --keep-gain looks for one; give one of them")
    from speechxfer.cli.terminal import TerminalProgress
    from speechxfer.report import write_report
    from speechxfer.training.interpolation import POINTS, Interpolation, parse_points

    progress = TerminalProgress()
    wanted = [*(parse_points(points) if points else POINTS), *([] if alpha is None else [alpha])]
    line = Interpolation(run, device=device, progress=progress)
    if line.encoder_only:
        progress.say("the head was new, so only the encoder is mixed; all points have the adapted head")
    elif line.unpadded:
        progress.say("alpha 0 has the original's weights, but hears utterances without the silence up to 30 s that the original was trained on, and so does worse than it; a run with --pad-to-30s begins at the original itself")  # fmt: skip  # noqa: E501
    curve = line.curve(wanted)
    progress.table("", ("alpha", "dev", "gain kept", "retained", "loss"), curve.rows())
    write_report(run)
    if alpha is not None or keep_gain is not None:
        chosen = next(point for point in curve.points if point.alpha == alpha) if keep_gain is None else curve.best(keep_gain)  # fmt: skip  # noqa: E501
        folder = output or run / "interpolated"
        line.at(chosen.alpha).save(folder)
        progress.say(f"{curve.say(chosen)}; model: {folder}")
    click.echo(json.dumps(curve.to_list(), indent=2))
