"""`speechxfer calibrate`: confidences that can be believed."""

from __future__ import annotations

from pathlib import Path

import click

from speechxfer.cli.paths import MODEL, PATH


@click.command()
@click.argument("model", type=MODEL)
@click.option("--dev", required=True, type=PATH, help="Manifest that the model was not trained on; never the test split.")  # fmt: skip  # noqa: E501
@click.option("--output", required=True, type=PATH, help="Folder for the model with its calibration.")
@click.option("--normalizer", default="basic", show_default=True, help="Applied to both sides before words are compared.")  # fmt: skip  # noqa: E501
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def calibrate(model: str, dev: Path, output: Path, normalizer: str, device: str) -> None:
    """Correct the confidences of MODEL's words, so that of those with 0.8, eight in ten are right.

    The saved model gives corrected confidences from then on; its texts are the same. finetune does this at its end.
    """
    import speechxfer as sx

    progress = sx.TerminalProgress()
    found = sx.calibrate(model, dev, normalizer, output=output, device=device, progress=progress)
    progress.log(str(found))
    progress.log(f"model: {output}")
