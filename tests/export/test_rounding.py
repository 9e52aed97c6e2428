"""Weights in 7 bits: what they lose, and what examples of their inputs are good for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser

from speechxfer.export.onnx.products import quantize_products
from speechxfer.export.onnx.rounding import rounded

GENERATOR = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """A test draws the same alone and after others."""
    GENERATOR.bit_generator.state = np.random.default_rng(0).bit_generator.state


def _together(frames: int, inputs: int) -> np.ndarray:
    """Inputs that go together, some much louder than others, as those of layers do."""
    mixed = GENERATOR.standard_normal((frames, inputs // 4)) @ GENERATOR.standard_normal((inputs // 4, inputs))
    return mixed * np.exp(GENERATOR.standard_normal(inputs)) + 0.1 * GENERATOR.standard_normal((frames, inputs))


def test_without_examples_each_weight_is_rounded_to_the_nearest() -> None:
    weights = GENERATOR.standard_normal((200, 30))
    integers, scales = rounded(weights, np.eye(200))
    assert integers.dtype == np.int8
    assert np.abs(integers).max() == 63  # sums of two products fit into 16 bits
    assert np.abs(integers * scales - weights).max() <= scales.max() / 2 * 1.0001
    assert scales == pytest.approx(np.abs(weights).max(0) / 63)


def test_with_moments_products_lose_less_also_of_inputs_not_seen() -> None:
    weights = GENERATOR.standard_normal((300, 40))
    inputs = _together(2000, 300)
    moments, others = inputs[:1000].T @ inputs[:1000] / 1000, inputs[1000:]

    def lost(moments: np.ndarray) -> float:
        integers, scales = rounded(weights, moments)
        return float(np.square(others @ (integers * scales - weights)).mean())

    assert lost(moments) < 0.3 * lost(np.eye(300))


@pytest.mark.parametrize("moments", [np.zeros((8, 8)), np.ones((8, 8))])
def test_weights_and_inputs_that_are_all_zero_or_alike(moments: np.ndarray) -> None:
    integers, scales = rounded(np.zeros((8, 3)), moments)
    assert not integers.any()
    assert np.isfinite(scales).all()


def _graph() -> onnx.ModelProto:
    """Two products of one input, and one of their sum; the first is a small part of all weights."""
    model = parser.parse_model("""
        <ir_version: 10, opset_import: ["": 20]>
        layers (float[frames, 64] x) => (float[frames, 16] y)
        { first = MatMul (x, a)  a_1 = MatMul (first, b)  a_2 = MatMul (first, c)  both = Add (a_1, a_2)
          y = MatMul (both, d) }
    """)
    for node, name in zip(model.graph.node, "12345", strict=True):
        node.name = name
    for name, shape in {"a": (64, 32), "b": (32, 300), "c": (32, 300), "d": (300, 16)}.items():
        values = GENERATOR.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    return model


def _computed(model: onnx.ModelProto, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (outputs,) = session.run(None, dict(inputs))
    return np.asarray(outputs)


def test_products_of_a_graph_become_integers_but_for_the_first() -> None:
    exact, model = (onnx.ModelProto() for _ in range(2))
    exact.CopyFrom(graph := _graph())
    model.CopyFrom(graph)
    examples = [{"x": GENERATOR.standard_normal((50, 64)).astype(np.float32)} for _ in range(3)]
    quantize_products(model, examples)
    onnx.checker.check_model(model)
    kinds = [node.op_type for node in model.graph.node]
    assert (kinds.count("MatMul"), kinds.count("MatMulInteger")) == (1, 3)
    assert kinds.count("DynamicQuantizeLinear") == 2  # one for both products of the same input
    assert {weight.name for weight in model.graph.initializer} & set("abcd") == {"a"}
    given = {"x": GENERATOR.standard_normal((20, 64)).astype(np.float32)}
    one, other = _computed(exact, given), _computed(model, given)
    assert 0 < np.abs(one - other).max() < 0.05 * np.abs(one).max()
