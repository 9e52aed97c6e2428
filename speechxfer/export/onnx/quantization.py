"""Weights of a graph in fewer bits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from speechxfer.export.onnx.products import Inputs, quantize_products

#: Smaller tensors and vectors (biases, norms, scales, constants) stay as they are.
_LEAST_SIZE = 4096
#: Largest number of float16.
_HIGHEST = float(np.finfo(np.float16).max)


def quantize(path: Path, quantization: str, examples: Sequence[Inputs] = ()) -> None:
    """Replace a graph of float32 by one with weights of another quantization.

    With float16 all large weights are stored in 16 bits and computed in 32, which costs no time, for they are converted
    once. With int8 it is the matrix products that are quantized, their inputs as they come (dynamically); other weights
    are stored in 16 bits.

    Args:
        path: the graph.
        quantization: float32, float16 or int8.
        examples: inputs of the graph, by which errors of rounding to 8 bits are weighed.
    """
    if quantization == "float32":
        return
    model = onnx.load(path)
    if quantization == "int8":
        quantize_products(model, examples)
    _halve(model.graph)
    onnx.save(model, path)


def _halve(graph: onnx.GraphProto) -> None:
    """Store large weights in 16 bits, each followed by a cast to what it was."""
    for weight in list(graph.initializer):
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.ndim < 2 or values.size < _LEAST_SIZE:
            continue
        if np.abs(values).max() > _HIGHEST:
            continue
        stored = f"{weight.name}.float16"
        graph.initializer.remove(weight)
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), stored))
        graph.node.insert(0, helper.make_node("Cast", [stored], [weight.name], f"{stored}.cast", to=TensorProto.FLOAT))
