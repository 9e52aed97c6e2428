"""A picture of the confusion matrix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speechxfer.errors import ConfigError
from speechxfer.evaluation.classes import ClassScores
from speechxfer.storage import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches of a cell, of the margin around the matrix, and the least size of the picture.
_CELL, _MARGIN, _SMALLEST = 0.36, 2.2, 4.4
#: Most classes for which cells show their number.
_MOST_NUMBERED = 40
#: Exponent of a cell's fraction in its color, so that 1 % is visible.
_GAMMA = 0.5
_DOTS_PER_INCH = 160


def draw_confusion(scores: ClassScores, path: Path) -> None:
    """Write the confusion matrix as a PNG: rows are the true classes, columns the predicted ones.

    The color of a cell is its fraction of the row; its number counts utterances.

    Raises:
        ConfigError: multi-label scores, which have no confusion matrix; or the path does not end in .png.
        StorageError: the picture cannot be written.
    """
    check_confusion(path)
    if not scores.confusion:
        raise ConfigError(f"{path}: multi-label scores have no confusion matrix, so there is nothing to draw")  # fmt: skip  # noqa: E501

    from matplotlib.figure import Figure  # without pyplot, whose figures belong to the whole process

    side = max(_SMALLEST, _CELL * len(scores.classes) + _MARGIN)
    figure = Figure(figsize=(side, side), layout="constrained")
    _fill(figure.add_subplot(), scores)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=_DOTS_PER_INCH)


def check_confusion(path: Path) -> None:
    """Check early that the path ends in .png.

    Raises:
        ConfigError: it does not.
    """
    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path}: the confusion matrix is a PNG; wanted a name that ends in .png")


def _fill(axes: Axes, scores: ClassScores) -> None:
    counts = np.array(scores.confusion)
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    labels = [one.label for one in scores.classes]
    axes.imshow(fractions**_GAMMA, cmap="Blues", vmin=0.0, vmax=1.15)
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
            color = "white" if fractions[row, column] ** _GAMMA > 0.6 else "black"
            number = str(counts[row, column])
            axes.text(column, row, number, ha="center", va="center", color=color, fontsize=size - len(number) / 2)
