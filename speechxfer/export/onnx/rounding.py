"""Weights in 7 bits, rounded one after the other so that each makes up for the errors of those before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: With more bits, sums of products overflow on processors without VNNI, which would write other texts than others.
_HIGHEST = 63
#: What is added to the diagonal of moments, as a fraction of its mean.
_DAMPING = 0.01
#: Rows whose errors are passed on to all later rows at once.
_BLOCK = 128


def rounded(weights: np.ndarray, moments: np.ndarray) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Integers and the scale of each output, so that `integers * scales` gives nearly the same products.

    The method is GPTQ (Frantar et al., 2023): rows are rounded from the input of most power to that of least, and what
    is lost by each is taken over by the rows that are left, as far as their inputs go together.

    Args:
        weights: of a product `inputs @ weights` [inputs, outputs].
        moments: of its inputs: the mean of x xᵀ [inputs, inputs]. Where they are not known, the identity, with which
            every weight is rounded to the nearest.
    """
    scales = np.abs(weights).max(axis=0).astype(np.float64) / _HIGHEST
    scales[scales == 0] = 1.0
    order = np.argsort(-np.diag(moments), kind="stable")
    factor = _factor(moments[order][:, order])
    left = weights[order].astype(np.float64) / scales
    integers = np.empty_like(left)
    for start in range(0, len(left), _BLOCK):
        stop = min(start + _BLOCK, len(left))
        errors = np.empty_like(left[start:stop])
        for row in range(start, stop):
            integers[row] = np.clip(np.round(left[row]), -_HIGHEST, _HIGHEST)
            errors[row - start] = (left[row] - integers[row]) / factor[row, row]
            left[row:stop] -= np.outer(factor[row, row:stop], errors[row - start])
        left[stop:] -= factor[start:stop, stop:].T @ errors
    return integers[np.argsort(order)].astype(np.int8), scales.astype(np.float32)


def _factor(moments: np.ndarray) -> np.ndarray:
    """The upper triangle whose rows say how much of an error each later input takes over."""
    power = float(np.diag(moments).mean()) or 1.0
    damped = moments.astype(np.float64) + _DAMPING * power * np.eye(len(moments))
    lower: np.ndarray = np.linalg.cholesky(np.linalg.inv(damped))
    return lower.T
