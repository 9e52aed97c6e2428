"""Pictures of probes, in a palette for color-blind readers (Okabe and Ito, 2008) and with markers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from speechxfer.config import HEADS
from speechxfer.planner.probe import Probe
from speechxfer.storage import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Blue, vermilion, green, purple, orange and sky blue, each with a marker of its own.
STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"))
_GRAY = "#555555"
_DOTS_PER_INCH = 160
_MEASURES = {False: "character error rate on dev", True: "error on dev"}


def draw_probes(probes: Sequence[Probe], path: Path) -> None:
    """Write the error by layer of one model or several as a PNG; dashed lines are the spectrogram's.

    Raises:
        StorageError: the picture cannot be written.
    """
    from matplotlib.figure import Figure  # without pyplot, whose figures belong to the whole process

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    draw_layers(figure.add_subplot(), probes)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a picture atomically."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DOTS_PER_INCH)


def draw_layers(axes: Axes, probes: Sequence[Probe]) -> None:
    """The error by layer."""
    for probe, (color, marker) in zip(probes, STYLES, strict=False):
        points = [(row.seam, row.error) for row in probe.rows if row.seam is not None]
        axes.plot(*zip(*points, strict=True), color=color, marker=marker, label=Path(probe.model).name)
        axes.plot(
            [probe.best.seam or 0], [probe.best.error], marker=marker, markersize=13, fillstyle="none", color=color
        )
        axes.axhline(probe.raw.error, color=color, linestyle="--", linewidth=1.0)
    axes.annotate("log-mel", (0.01, probes[0].raw.error), xycoords=("axes fraction", "data"), color=_GRAY, va="bottom", fontsize=8)  # fmt: skip  # noqa: E501
    axes.set_xticks(sorted({row.seam for probe in probes for row in probe.rows if row.seam is not None}))
    axes.set_xlabel("layers below the probe (best ringed)")
    axes.set_ylabel(_MEASURES[HEADS[probes[0].head].is_classifier])
    axes.set_ylim(bottom=0.0)
    axes.legend(frameon=False)
    tidy(axes)


def tidy(axes: Axes) -> None:
    """Remove clutter."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
