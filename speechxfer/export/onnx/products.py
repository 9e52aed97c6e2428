"""Matrix products of a graph in 8 bits: the weights in advance, their inputs as they come."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from speechxfer.export.onnx.rounding import rounded

#: Values that go into a graph, by name.
Inputs = Mapping[str, np.ndarray]
#: The first products keep their weights, up to this fraction of all: what is lost there goes through all layers.
_KEPT = 1 / 12
#: Most numbers of moments in memory at once.
_MOST_MOMENTS = 2**27


def quantize_products(model: onnx.ModelProto, examples: Sequence[Inputs]) -> None:
    """Replace products with constant matrices by those of integers, in place.

    Args:
        model: the graph.
        examples: what it may be given, by which errors of rounding are weighed. Without any, all are alike.
    """
    weights = {one.name: one for one in model.graph.initializer}
    products = _quantized(model.graph, weights)
    written: dict[str, list[NodeProto]] = {}
    for names in _groups({node.input[0]: weights[node.input[1]].dims[0] for node in products}):
        moments = _moments(model, names, examples) if examples else {}
        for node in products:
            if node.input[0] in names:
                values = numpy_helper.to_array(weights[node.input[1]])
                integers, scales = rounded(values, moments.get(node.input[0], np.eye(len(values))))
                written[node.name] = _of_integers(model.graph, node, integers, scales)
    _replace(model.graph, written)


def _quantized(graph: onnx.GraphProto, weights: Mapping[str, TensorProto]) -> list[NodeProto]:
    """Products with constant matrices, but for the first."""
    found = [
        node
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in weights and len(weights[node.input[1]].dims) == 2
    ]
    sizes = [int(np.prod(weights[node.input[1]].dims)) for node in found]
    kept = sum(total <= _KEPT * sum(sizes) for total in itertools.accumulate(sizes))
    return found[kept:]


def _groups(widths: Mapping[str, int]) -> Iterator[list[str]]:
    """Names of inputs whose moments fit into memory together."""
    group: list[str] = []
    for name, width in widths.items():
        if group and sum(widths[one] ** 2 for one in group) + width**2 > _MOST_MOMENTS:
            yield group
            group = []
        group.append(name)
    if group:
        yield group


def _moments(model: onnx.ModelProto, names: Sequence[str], examples: Sequence[Inputs]) -> dict[str, np.ndarray]:
    """The mean of x xᵀ of what has these names inside the graph, over all frames of the examples."""
    import onnxruntime

    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    sums: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shown.onnx"
        onnx.save(shown, path)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for example in examples:
            for name, values in zip(names, session.run(list(names), dict(example)), strict=True):
                frames = values.reshape(-1, values.shape[-1])
                sums[name] = sums.get(name, 0) + frames.T @ frames / len(frames)
    return {name: total / len(examples) for name, total in sums.items()}


def _of_integers(graph: onnx.GraphProto, node: NodeProto, integers: np.ndarray, scales: np.ndarray) -> list[NodeProto]:
    """The product as ONNX Runtime knows to compute it in one step: integers, and then their scales."""
    source, result = node.input[0], node.output[0]
    values, scale, zero = (f"{source}.{part}" for part in ("integers", "scale", "zero"))
    weights, scales_name, zeros = (f"{node.name}.{part}" for part in ("weights", "scales", "zeros"))
    graph.initializer.extend([
        numpy_helper.from_array(integers, weights),
        numpy_helper.from_array(scales, scales_name),
        numpy_helper.from_array(np.zeros(len(scales), dtype=np.int8), zeros),
    ])  # fmt: skip
    return [
        helper.make_node("DynamicQuantizeLinear", [source], [values, scale, zero], f"{source}.quantized"),
        helper.make_node("MatMulInteger", [values, weights, zero, zeros], [f"{result}.sums"], f"{node.name}.integers"),
        helper.make_node("Cast", [f"{result}.sums"], [f"{result}.floats"], f"{node.name}.cast", to=TensorProto.FLOAT),
        helper.make_node("Mul", [scale, scales_name], [f"{result}.scale"], f"{node.name}.scale"),
        helper.make_node("Mul", [f"{result}.floats", f"{result}.scale"], [result], f"{node.name}.scaled"),
    ]


def _replace(graph: onnx.GraphProto, written: Mapping[str, list[NodeProto]]) -> None:
    """Put nodes in the places of those with these names, each once, and drop weights that nobody takes any more."""
    nodes: dict[str, NodeProto] = {}
    for node in list(graph.node):
        for one in written.get(node.name, [node]):
            nodes.setdefault(one.name, one)
    del graph.node[:]
    graph.node.extend(nodes.values())
    taken = {name for node in graph.node for name in node.input}
    for weight in [one for one in graph.initializer if one.name not in taken]:
        graph.initializer.remove(weight)
