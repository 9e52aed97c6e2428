"""The picture of docs/transfer.md: error by amount of training data, a line for each preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.study_transfer.cells import size
from scripts.study_transfer.judging import figures
from speechxfer.planner.drawing import STYLES, save, tidy
from speechxfer.transfer.presets import PRESETS


def draw(lines: list[dict[str, Any]], path: Path) -> None:
    """Write it as PNG: a panel for each corpus and model."""
    from matplotlib.figure import Figure  # without pyplot, whose figures belong to the whole process

    corpora, models = (list(dict.fromkeys(line[name] for line in lines)) for name in ("corpus", "model"))
    figure = Figure(figsize=(3.6 * len(corpora), 2.8 * len(models) + 0.5), layout="constrained")
    panels = figure.subplots(len(models), len(corpora), squeeze=False)
    for row, model in enumerate(models):
        for column, corpus in enumerate(corpora):
            own = [line for line in lines if (line["corpus"], line["model"]) == (corpus, model)]
            axes = panels[row][column]
            _panel(axes, own)
            axes.set_title(f"{corpus}, {model}", fontsize=9)
    drawn = {label: handle for axes in panels.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}  # fmt: skip  # noqa: E501
    figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=len(PRESETS), frameon=False, fontsize=8)  # fmt: skip  # noqa: E501
    path.parent.mkdir(parents=True, exist_ok=True)
    save(figure, path)


def _panel(axes: Any, lines: list[dict[str, Any]]) -> None:
    sizes = sorted({line["minutes"] for line in lines}, key=lambda minutes: minutes or float("inf"))
    for preset, (color, marker) in zip(PRESETS, STYLES, strict=True):
        points = [
            (place, _error(figures((line for line in lines if line["minutes"] == minutes), "cer")[preset]))
            for place, minutes in enumerate(sizes)
            if any(line["minutes"] == minutes and line["preset"] == preset for line in lines)
        ]
        if points:
            axes.plot(*zip(*points, strict=True), color=color, marker=marker, label=preset)
    axes.set_xticks(range(len(sizes)), [size(minutes) for minutes in sizes])
    axes.set_xlim(-0.3, len(sizes) - 0.7)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("error" if lines and "accuracy" in lines[0]["test"] else "CER", fontsize=8)
    tidy(axes)


def _error(figure: float) -> float:
    """Of an accuracy, which is stored as its negative, what it lacks."""
    return 1.0 + figure if figure < 0 else figure
