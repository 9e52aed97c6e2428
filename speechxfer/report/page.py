"""The page of a run: `report.html`, one file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechxfer.report.classes import class_tables
from speechxfer.report.curves import Line, chart
from speechxfer.report.headline import NAMES, headline, known, results
from speechxfer.report.markup import Html, element, section
from speechxfer.report.provenance import again, data, plan
from speechxfer.report.run import FinishedRun, read_run
from speechxfer.report.utterances import confusions, error_slices, worst_utterances
from speechxfer.runs import RunFolder
from speechxfer.storage import write_text

#: Nothing is fetched and nothing is run, whatever a transcript holds.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; media-src data:; base-uri 'none'; form-action 'none'"


def write_report(folder: Path, places: Mapping[str, Any] | None = None) -> Path:
    """Write `report.html` into a run's folder, from what stands there and in the manifests that the run names.

    It holds everything it shows, the sound of the worst utterances among it, so it can be sent around as one file
    and says as much of the data as that implies. What is missing is left out and told at the end.

    Args:
        folder: of the run.
        places: where its manifests are now, by setting, if they have been moved.

    Raises:
        ConfigError: the folder is no run's.
        DataError: a file of the run is damaged.
        StorageError: the page cannot be written.
    """
    run = read_run(folder, places)
    path = RunFolder(folder).report
    write_text(path, f"<!DOCTYPE html>\n{_page(run)}\n")
    return path


def _page(run: FinishedRun) -> Html:
    title = f"{run.folder.absolute().name}: {Path(run.config.model).name} adapted"
    style = Html((Path(__file__).parent / "page.css").read_text(encoding="utf-8"))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("title", title),
        element("style", style),
    )
    parts = [
        element("header", element("h1", run.folder.absolute().name), element("p", _about(run)), headline(run)),
        results(run),
        _curves(run),
        error_slices(run),
        worst_utterances(run),
        class_tables(run) if run.is_classifier else confusions(run),
        plan(run),
        data(run),
        again(run),
        section(
            "What is not shown", element("ul", *(element("li", note) for note in run.notes)) if run.notes else None
        ),
    ]
    return element("html", head, element("body", element("main", *parts)), lang="en")


def _about(run: FinishedRun) -> str:
    at = f", epoch {best} of {run.metrics['epochs']}" if (best := run.metrics.get("best_epoch")) else ""
    return (
        f"{run.config.model} with {run.config.head_type.summary}, adapted to {Path(run.config.train).parent.name}{at}"
    )


def _curves(run: FinishedRun) -> Html:
    best = run.metrics.get("best_epoch")
    marked = (float(best), f"best: {best}") if best else None
    losses = [Line(title, _points(run.epochs, name)) for name, title in (("loss", "training"), ("dev_loss", "dev"))]
    loss = chart("Loss", losses, "epoch", marked=marked)
    rates = [Line(title, _points(run.epochs, name)) for name, title in _dev_figures(run)]
    error = chart("Error", rates, "epoch", marked=marked)
    return section("Learning curves", element("div", loss, error, _interpolation(run), class_="row")) if loss else loss


def _dev_figures(run: FinishedRun) -> Iterator[tuple[str, str]]:
    """What the lines of `metrics.jsonl` call the error rates, and what the page does."""
    for name in ("error",) if run.is_classifier else ("wer", "cer"):
        for split in ("dev", "retain"):
            yield f"{split}_{name}", f"{NAMES.get(name, name)}, {split}"


def _interpolation(run: FinishedRun) -> Html:
    """Between the weights before (0) and after (1): how both sides fare."""
    name = "error" if run.is_classifier else "wer"
    shown = NAMES.get(name, name)
    points = run.interpolation.points if run.interpolation else ()
    lines = [
        Line(title, [(point.alpha, _error(scores, name)) for point in points if (scores := getattr(point, side))])
        for side, title in (("dev", f"{shown}, dev"), ("retain", f"{shown}, retain"))
    ]
    return chart("Between old and new weights", lines, "share of the new weights")


def _error(scores: Mapping[str, Any], name: str) -> float:
    return 1.0 - known(scores)["accuracy"] if name == "error" else float(scores[name])


def _points(epochs: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(float(line["epoch"]), float(line.get(name, math.nan))) for line in epochs]
