"""The picture of docs/performance.md: how many times faster each job is, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

#: Readable on white and on black pages alike; the background is transparent.
_INK, _GRID, _CPU, _GPU, _ASKED = "#7d8590", "#7d859055", "#3b82c4", "#2f9e77", "#d9822b"


class Bar(NamedTuple):
    """One job."""

    label: str
    ratio: float
    asked: float | None
    on_gpu: bool


def draw(bars: Sequence[Bar], path: Path) -> None:
    """Write the picture as PNG; without bars an empty one that says so."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.55 * max(2, len(bars))), layout="constrained")
    largest = max([1.0, *(max(bar.ratio, bar.asked or 0) for bar in bars)])
    for place, bar in enumerate(bars):
        # From 1, which is no difference, to either side.
        axes.barh(place, bar.ratio - 1, height=0.62, left=1, color=_GPU if bar.on_gpu else _CPU)
        axes.text(max(1, bar.ratio) * 1.05, place, f"{bar.ratio:.1f}", va="center", color=_INK, fontweight="bold")
        if bar.asked:
            axes.plot([bar.asked] * 2, [place - 0.4, place + 0.4], color=_ASKED, linewidth=3)
    if not bars:
        axes.text(0.5, 0.5, "nothing measured yet", transform=axes.transAxes, ha="center", color=_INK)
    axes.set_xscale("log")
    axes.set_xlim(min([0.9, *(bar.ratio * 0.9 for bar in bars)]), largest * 1.6)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    axes.invert_yaxis()
    axes.set_xlabel("times faster than the peer (logarithmic)", color=_INK)
    axes.axvline(1, color=_INK, linewidth=1)
    axes.grid(axis="x", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    legend = [
        Patch(color=color, label=name)
        for name, color, shown in (
            ("CPU", _CPU, any(not bar.on_gpu for bar in bars)),
            ("GPU", _GPU, any(bar.on_gpu for bar in bars)),
            ("asked", _ASKED, any(bar.asked for bar in bars)),
        )
        if shown
    ]
    if legend:
        axes.legend(handles=legend, frameon=False, labelcolor=_INK, loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, transparent=True)
    plt.close(figure)
