"""How attention is written in a graph."""

from __future__ import annotations

import math
from typing import Any

from onnxscript import ir, opset20

#: What is added to scores of what must not be attended to; exponentials of it are zero.
_NEVER = -3e38


def attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,  # noqa: ARG001  # as torch names them; encoders of ours give neither
    is_causal: bool = False,  # noqa: ARG001
    scale: float | None = None,
    **_: Any,
) -> Any:
    """`scaled_dot_product_attention` of [batch, heads, frames, width] each, as operators of ONNX.

    Every query of ours attends to something, so nothing looks for sums of zero, as torch's own translation does for
    all pairs of frames: that took a fifth of the time of a recording of 28 s.
    """
    factor = scale if scale is not None else 1.0 / math.sqrt(query.shape[-1])
    scaled = opset20.Mul(query, opset20.Constant(value_float=float(factor)))
    scores = opset20.MatMul(scaled, opset20.Transpose(key, perm=[0, 1, 3, 2]))
    if attn_mask is not None:
        if attn_mask.dtype == ir.DataType.BOOL:
            attended, never = (opset20.Constant(value_float=added) for added in (0.0, _NEVER))
            attn_mask = opset20.Where(attn_mask, attended, never)  # type: ignore[type-var]
        scores = opset20.Add(scores, attn_mask)
    return opset20.MatMul(opset20.Softmax(scores, axis=-1), value)
