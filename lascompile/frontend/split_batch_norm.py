"""Write a batch norm in inference mode as what it is.

Before: x → `BatchNormalization`
After: x → `Mul`(scale) → `Add`(shift), constants [1, C, 1, 1]
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from lascompile.frontend.rewire import new_constant

_DEFAULT_EPSILON = 1e-5


def split_batch_norms(graph: ir.Graph) -> None:
    """Rewrite every batch norm of `graph` whose parameters are constants."""
    for node in list(graph):
        if node.op_type == "BatchNormalization" and node.domain == "" and _is_constant(node):
            _split(graph, node)


def _is_constant(node: ir.Node) -> bool:
    parameters = node.inputs[1:5]
    return len(parameters) == 4 and all(value is not None and value.const_value is not None for value in parameters)


def _split(graph: ir.Graph, node: ir.Node) -> None:
    source, output = node.inputs[0], node.outputs[0]
    scale, shift = _affine(node)
    rank = 4 if source is None or source.shape is None else len(source.shape)
    shape = (1, -1, *[1] * (rank - 2))
    multiply = ir.node("Mul", [source, new_constant(graph, f"{node.name}.scale", scale.reshape(shape))])
    add = ir.node("Add", [multiply.outputs[0], new_constant(graph, f"{node.name}.shift", shift.reshape(shape))])
    multiply.name, multiply.outputs[0].name = f"{node.name}.mul", f"{output.name}.scaled"
    add.name = node.name
    for value in (multiply.outputs[0], add.outputs[0]):
        value.shape, value.type = output.shape, output.type
    ir.convenience.replace_nodes_and_values(graph, node, [node], [multiply, add], [output], add.outputs)


def _affine(node: ir.Node) -> tuple[np.ndarray, np.ndarray]:
    """The scale and the shift of each channel [C], float32, from sums in float64."""
    scale, shift, mean, variance = (
        value.const_value.numpy().astype(np.float64)
        for value in node.inputs[1:5]
        if value is not None and value.const_value is not None
    )
    factor = scale / np.sqrt(variance + node.attributes.get_float("epsilon", _DEFAULT_EPSILON))
    return factor.astype(np.float32), (shift - mean * factor).astype(np.float32)
