"""`speechxfer classify`: recordings in, classes out."""

from __future__ import annotations

import csv
import functools
import io
import json
from typing import TYPE_CHECKING, Any

import click

from speechxfer.cli import streams
from speechxfer.cli.audio_options import audio_options
from speechxfer.cli.batch import RecordingProgress, for_each, recordings
from speechxfer.cli.paths import MODEL
from speechxfer.errors import printable
from speechxfer.inference.inputs import Input

if TYPE_CHECKING:
    from speechxfer.audio import Options
    from speechxfer.decoding.hypothesis import Classification

_FORMATS = ("txt", "json", "csv")


@click.command()
@click.argument("model_name", metavar="MODEL", type=MODEL)
@click.argument("names", metavar="INPUTS...", nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="Number of most likely classes to print.")  # fmt: skip  # noqa: E501
@click.option("--format", "format_", type=click.Choice(_FORMATS), default="txt", show_default=True)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@audio_options
def classify(
    *, model_name: str, names: tuple[str, ...], top: int, format_: str, device: str, reading: Options
) -> None:  # fmt: skip
    """Classify INPUTS, with probabilities.

    MODEL is a model's folder or the name of a checkpoint. INPUTS are files, folders, quoted patterns such
    as 'calls/**/*.wav', and - for the standard input. A recording that is longer than 28 s is cut at pauses;
    its probabilities are the mean over the pieces, weighed by their lengths. A file that cannot be read is
    reported and the rest goes on; the exit status is then 1.

    A single input prints a class a line, several a line each; json prints an object for each, csv a table whose
    columns audio and label make it a manifest.
    """
    inputs = recordings(names)

    from speechxfer.api.loading import load

    model = load(model_name, device=device)
    header_missing = format_ == "csv"

    def work(item: Input) -> Classification:
        with RecordingProgress([item]) as progress:
            return model.classify(item.source(), progress=functools.partial(progress, 0), **reading)

    def write(item: Input, found: Classification) -> None:
        nonlocal header_missing
        if header_missing:
            streams.write(f"{_csv(_columns(min(top, len(found.labels))))}\n")
            header_missing = False
        streams.write(f"{_written(item.name, found, top, format_, alone=len(inputs) == 1)}\n")

    for_each(inputs, work, write)


def _written(name: str, found: Classification, top: int, format_: str, *, alone: bool) -> str:
    best = found.top(top)
    if format_ == "json":
        classes = [{"label": label, "probability": round(share, 4)} for label, share in best]
        value = {"source": name, "label": found.label, "classes": classes}
        return json.dumps(value, ensure_ascii=False, indent=2 if alone else None)
    if format_ == "csv":
        return _csv([name, found.label, *(cell for label, share in best for cell in (label, f"{share:.4f}"))])
    if alone:
        return "\n".join(f"{share:.3f}  {label}" for label, share in best)
    return f"{printable(name)}: {', '.join(f'{label} {share:.3f}' for label, share in best)}"


def _columns(count: int) -> list[str]:
    return [
        "audio",
        "label",
        *(name for rank in range(1, count + 1) for name in (f"top_{rank}", f"probability_{rank}")),
    ]


def _csv(cells: list[Any]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="").writerow(cells)
    return buffer.getvalue()
