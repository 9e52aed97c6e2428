"""How much data the run used."""

from __future__ import annotations

from speechxfer.report.figures import clock
from speechxfer.report.markup import Html, section, table
from speechxfer.report.run import FinishedRun


def data(run: FinishedRun) -> Html:
    """A table of the manifests."""
    rows = [
        (
            name.rpartition(".")[2], f"{split.utterances:,}", clock(split.seconds),
            f"{split.words:,}" if split.words else "", f"{split.speakers:,}" if split.speakers else "",
        )
        for name, split in run.splits.items()
    ]  # fmt: skip
    columns = ("split", "utterances", "audio", "words", "speakers")
    return section("Data", table(columns, rows, numbers=range(1, 5))) if rows else Html()
