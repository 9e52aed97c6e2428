"""A confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speechxfer.errors import ConfigError
from speechxfer.evaluation.classes import ClassScores
from speechxfer.storage import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches of a cell, and of the paper around the matrix; a matrix of few classes is no stamp.
_CELL, _AROUND, _SMALLEST = 0.36, 2.2, 4.4
#: Classes up to which every cell that is not empty says its number.
_MOST_NUMBERED = 40
#: Shares are coloured by their square root, or 1 % would look like none.
_BEND = 0.5
_DOTS_PER_INCH = 160


def draw_confusion(scores: ClassScores, path: Path) -> None:
    """Write the confusion matrix as a PNG: rows are the true classes, columns the predicted ones.

    Cells are coloured by their share of the row and hold the number of utterances.

    Raises:
        ConfigError: several classes may hold at once, so that none is taken for another; or no name of a PNG.
        StorageError: the picture cannot be written.
    """
    check_confusion(path)
    if not scores.confusion:
        raise ConfigError(f"{path}: where several classes may hold at once, none is taken for another, so there is nothing to draw")  # fmt: skip  # noqa: E501

    from matplotlib.figure import Figure  # without pyplot, whose figures belong to the whole process

    side = max(_SMALLEST, _CELL * len(scores.classes) + _AROUND)
    figure = Figure(figsize=(side, side), layout="constrained")
    _fill(figure.add_subplot(), scores)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DOTS_PER_INCH)


def check_confusion(path: Path) -> None:
    """Look whether the name is that of a picture, before the work that it is to show.

    Raises:
        ConfigError: it is not.
    """
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path}: the confusion matrix is a PNG; wanted a name that ends in .png")


def _fill(axes: Axes, scores: ClassScores) -> None:
    counts = np.array(scores.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    labels = [one.label for one in scores.classes]
    axes.imshow(shares**_BEND, cmap="Blues", vmin=0.0, vmax=1.15)
    size = 12.0 if len(labels) <= 4 else 10.0 if len(labels) <= 12 else 8.0
    upright = len(labels) > 12 or max(map(len, labels)) > 5
    axes.set_xticks(range(len(labels)), labels, rotation=90 if upright else 0, fontsize=size)
    axes.set_yticks(range(len(labels)), labels, fontsize=size)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"{scores.utterances} utterances, accuracy {scores.accuracy:.3f}", fontsize=size + 1)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.0)
    axes.tick_params(which="minor", length=0)
    if len(labels) <= _MOST_NUMBERED:
        for row, column in np.argwhere(counts):
            colour = "white" if shares[row, column] ** _BEND > 0.6 else "black"
            number = str(counts[row, column])
            axes.text(column, row, number, ha="center", va="center", color=colour, fontsize=size - len(number) / 2)
