"""Weights of a graph in fewer bits."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: Smaller tensors (biases, norms, constants) stay as they are.
_LEAST_SIZE = 4096
#: Largest number of float16.
_HIGHEST = float(np.finfo(np.float16).max)


def quantize(path: Path, quantization: str) -> None:
    """Replace a graph of float32 by one with weights of another quantization.

    With float16 all large weights are stored in 16 bits and computed in 32, which costs no time, for they are converted
    once. With int8 it is the matrix products that are quantized, their inputs as they come (dynamically); other weights
    are stored in 16 bits.
    """
    if quantization == "int8":
        _quantize_products(path)
    if quantization in ("float16", "int8"):
        model = onnx.load(path)
        _halve(model.graph)
        onnx.save(model, path)


def _halve(graph: onnx.GraphProto) -> None:
    """Store large weights in 16 bits, each followed by a cast to what it was."""
    for weight in list(graph.initializer):
        values = numpy_helper.to_array(weight)
        if weight.data_type != TensorProto.FLOAT or values.size < _LEAST_SIZE or np.abs(values).max() > _HIGHEST:
            continue
        stored = f"{weight.name}.float16"
        graph.initializer.remove(weight)
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), stored))
        graph.node.insert(0, helper.make_node("Cast", [stored], [weight.name], f"{stored}.cast", to=TensorProto.FLOAT))


def _quantize_products(path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    result = path.with_suffix(".quantized")
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # the library logs advice there
    try:
        # One scale for each output channel, and 7 bits, for with 8 the sums of products overflow on processors without
        # VNNI, which would write other texts than those with it.
        quantize_dynamic(
            path, result, op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True,
            weight_type=QuantType.QInt8, extra_options={"MatMulConstBOnly": True},
        )  # fmt: skip
    finally:
        root.setLevel(level)
    result.replace(path)
