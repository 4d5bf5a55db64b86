"""Floating-point operations: two for each multiplication with its addition; what else there is does not count.

Convolutions and matrix products make up all but about one percent of such networks.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from lascompile.analysis.elements import shape_of
from lascompile.analysis.facts import operator


def flops_of(node: ir.Node) -> int:
    """What `node` takes for the whole batch if it computes everything; 0 for an operator that does not count."""
    if operator(node) == "Conv":
        return 2 * _size(node.outputs[0]) * _taps(node)
    if operator(node) == "ConvTranspose":
        return 2 * _size(node.inputs[0]) * _taps(node)
    if operator(node) == "MatMul":
        return 2 * _size(node.outputs[0]) * _shape(node.inputs[0])[-1]
    if operator(node) == "Gemm":
        rows, columns = _shape(node.inputs[0])
        return 2 * _size(node.outputs[0]) * (rows if node.attributes.get_int("transA", 0) else columns)
    return 0


def _taps(node: ir.Node) -> int:
    """Multiplications for each element of the output of a Conv, or of the input of a ConvTranspose.

    Weights are [outputs, inputs per group, ...] and [inputs, outputs per group, ...].
    """
    return int(np.prod(_shape(node.inputs[1])[1:], dtype=np.int64))


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    assert value is not None
    return shape_of(value)


def _size(value: ir.Value | None) -> int:
    return int(np.prod(_shape(value), dtype=np.int64))
