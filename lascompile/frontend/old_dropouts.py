"""Take out the dropouts of opsets before 12, which are for inference alone.

Before: x → `Dropout` → y, mask
After: x → `Identity` → y; the mask is all zeros, as onnxruntime returns it
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from lascompile.frontend.rewire import new_constant

_TRAINING_IS_AN_INPUT = 12


def replace_old_dropouts(graph: ir.Graph, opset: int) -> None:
    """Rewrite every dropout of `graph`, a graph of `opset`, if it is so old."""
    for node in list(graph):
        if node.op_type == "Dropout" and node.domain == "" and opset < _TRAINING_IS_AN_INPUT:
            _replace(graph, node)


def _replace(graph: ir.Graph, node: ir.Node) -> None:
    identity = ir.node("Identity", node.inputs[:1], name=node.name)
    new, old = identity.outputs[0], node.outputs[0]
    new.name, new.shape, new.type = old.name, old.shape, old.type
    masks = [_mask(graph, value) for value in node.outputs[1:]]
    ir.convenience.replace_nodes_and_values(graph, node, [node], [identity], node.outputs, [new, *masks])


def _mask(graph: ir.Graph, value: ir.Value) -> ir.Value:
    if value.shape is None or not value.shape.is_static() or not (value.uses() or value.is_graph_output()):
        return value
    dtype = value.dtype.numpy() if value.dtype is not None else np.dtype(bool)
    return new_constant(graph, str(value.name), np.zeros(value.shape.numpy(), dtype))
