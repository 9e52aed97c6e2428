"""The page of a run: one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speechxfer.report.figures import headline
from speechxfer.report.markup import Html, element
from speechxfer.report.run import FinishedRun, read_run
from speechxfer.report.sections import SECTIONS
from speechxfer.storage import write_text

#: Nothing is fetched and nothing is run, whatever a transcript holds.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; media-src data:; base-uri 'none'; form-action 'none'"


def document(title: str, *parts: Html) -> Html:
    """A whole page that needs nothing else, in the style of all of them."""
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
    return element("html", head, element("body", element("main", *parts)), lang="en")


def write_report(folder: Path, places: Mapping[str, Any] | None = None) -> Path:
    """Write the page of a run into its folder, from what the folder holds.

    The page holds everything it shows, the sound of the worst utterances among it, so it can be sent around as one
    file and reveals as much of the data as that implies. What is missing is left out and listed at the end.

    Args:
        folder: of the run.
        places: where its manifests are now, by setting, if they have been moved: recordings are looked for there.

    Raises:
        ConfigError: the folder is no run's.
        DataError: a file of the run is damaged.
        StorageError: the page cannot be written.
    """
    run = read_run(folder, places)
    path = run.folder.report
    write_text(path, f"<!DOCTYPE html>\n{_page(run)}\n")
    return path


def _page(run: FinishedRun) -> Html:
    title = f"{run.folder.name}: {Path(run.config.model).name} adapted"
    top = element("header", element("h1", run.folder.name), element("p", _about(run)), headline(run))
    return document(title, top, *(section(run) for section in SECTIONS))


def _about(run: FinishedRun) -> str:
    at = f", epoch {best} of {run.metrics['epochs']}" if (best := run.metrics.get("best_epoch")) else ""
    head, corpus = run.config.head_type.summary, Path(run.config.train).parent.name
    return f"{run.config.model} with {head}, adapted to {corpus}{at}"
