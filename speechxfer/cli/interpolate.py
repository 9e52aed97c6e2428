"""`speechxfer interpolate`: between what a model knew and what it has learned."""

from __future__ import annotations

import json
from pathlib import Path

import click

from speechxfer.cli.moved import moved_options, places
from speechxfer.cli.paths import MODEL, PATH


@click.command()
@click.argument("run", type=PATH)
@click.option("--points", metavar="LIST", help="Fractions of the adapted weights to measure (default: 0,0.1,...,1).")
@click.option("--at", "alpha", type=float, metavar="ALPHA", help="Save the model at this point.")
@click.option("--keep-gain", type=float, metavar="FRACTION", help="Save the model that keeps this fraction of the gain (such as 0.9) and forgets least.")  # fmt: skip  # noqa: E501
@click.option("--output", type=PATH, help="Folder for the saved model (default: RUN/interpolated).")
@moved_options
@click.option("--model", type=MODEL, help="Path of the pre-trained model, if it has been moved.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def interpolate(
    run: Path, points: str | None, alpha: float | None, keep_gain: float | None, output: Path | None,
    model: str | None, device: str, **moved: Path | None,
) -> None:  # fmt: skip
    """Measure the models between the one a finished RUN began with and the one it ended with.

    Their weights are mixed, and each mixture is measured on dev (what was gained) and on the run's --retain manifest
    (what was lost). The curve goes to RUN/interpolation.json and into the report; --at or --keep-gain save a model.
    """
    import speechxfer as sx
    from speechxfer.training.interpolation import parse_points

    curve = sx.interpolate(
        run, points=None if points is None else parse_points(points), at=alpha, keep_gain=keep_gain, output=output,
        places=places(moved) | ({"model": model} if model else {}), device=device, progress=sx.TerminalProgress(),
    )  # fmt: skip
    click.echo(json.dumps(curve.to_list(), indent=2))
