"""`speechxfer probe`: what each layer of a model knows of a domain, and how far that is from the model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from speechxfer.cli.paths import MODEL, PATH
from speechxfer.errors import ConfigError

if TYPE_CHECKING:
    from speechxfer.planner.probe import Probe
    from speechxfer.planner.similarity import Similarity
    from speechxfer.progress import Progress


@click.command()
@click.option(
    "--model", type=MODEL, required=True, help="Pre-trained model: a folder, an installed package, or a hub id."
)
@click.option("--train", required=True, type=PATH, help="Manifest that the probes are trained on.")
@click.option("--dev", required=True, type=PATH, help="Manifest that they are evaluated on.")
@click.option("--head", type=click.Choice(["ctc", "classification"]), default="ctc", show_default=True, help="Task of the probes: characters, or classes.")  # fmt: skip  # noqa: E501
@click.option("--language", metavar="LL", help="Spoken language, for the adapters of an MMS model.")
@click.option("--layers", metavar="N,N,…", help="Probe only at these numbers of layers below the probe (default: all, from 0).")  # fmt: skip  # noqa: E501
@click.option("--sample", type=float, default=600.0, show_default=True, metavar="SECONDS", help="Seconds of training audio; half as much of dev.")  # fmt: skip  # noqa: E501
@click.option("--reference", type=PATH, help="Manifest of the pre-training domain, to measure the distance from it.")  # fmt: skip  # fmt: skip  # noqa: E501
@click.option("--strict", is_flag=True, help="Stop at an audio file that is a little shorter than it should be, rather than warn and use it.")  # fmt: skip  # noqa: E501
@click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
@click.option("--output", required=True, type=PATH, help="Folder for probe.json and probe.png.")
def probe(
    model: str, train: Path, dev: Path, head: str, language: str | None, layers: str | None, sample: float,
    reference: Path | None, strict: bool, device: str, output: Path,
) -> None:  # fmt: skip
    """Train the same light head on every layer of a frozen model: which layer is best for your task?"""
    import speechxfer as sx

    progress = sx.TerminalProgress()
    found, similar = sx.probe(
        model, train=train, dev=dev, head=head, language=language,
        layers=None if layers is None else _numbers(layers), sample_s=sample, reference=reference, strict=strict,
        device=device, output=output, progress=progress,
    )  # fmt: skip
    _show(model, found, similar, progress)
    progress.log(f"written: {output / 'probe.json'}, {output / 'probe.png'}")


def _show(model: str, found: Probe, similar: Similarity, progress: Progress) -> None:
    title = f"{model}: error of the same linear head on {found.dev_s:.0f} s of dev after {found.train_s:.0f} s of training audio"  # fmt: skip  # noqa: E501
    progress.table(title, ("part", "layers below", *found.rows[0].figures), found.table())
    best = f"best with {found.best.seam} of {found.depth} layers below, which reduces the spectrogram's error by {found.gain:.0%}"  # fmt: skip  # noqa: E501
    progress.log(best)
    progress.table(f"the domain is {similar.verdict}", ("measure", "value", "", "meaning"), similar.table())


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--layers {text!r}: wanted numbers, for instance --layers 0,2,4") from None
