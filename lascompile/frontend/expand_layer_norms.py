"""Write a layer normalisation as what it is where its mean or its inverse standard deviation is read as well.

Before: x → `LayerNormalization` → y, mean, inverse
After: x → `ReduceMean` (mean) → `Sub` → `Mul` → `ReduceMean` → `Sqrt` → `Div` (inverse) → … → y
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from lascompile.frontend.rewire import new_constant

_DEFAULT_EPSILON = 1e-5
_AXES_ARE_AN_INPUT = 18


def expand_layer_norms(graph: ir.Graph, opset: int) -> None:
    """Rewrite every layer normalisation of `graph` of which more than the first output is read."""
    for node in list(graph):
        if node.op_type == "LayerNormalization" and node.domain == "" and _returns_statistics(node):
            _expand(graph, node, opset)


def _returns_statistics(node: ir.Node) -> bool:
    known = node.inputs[0] is not None and node.inputs[0].shape is not None
    return known and any(value.uses() or value.is_graph_output() for value in node.outputs[1:])


class _Builder:
    def __init__(self, graph: ir.Graph, name: str) -> None:
        self._graph, self._name = graph, name
        self.nodes: list[ir.Node] = []

    def constant(self, array: np.ndarray) -> ir.Value:
        return new_constant(self._graph, f"{self._name}.constant.{len(self._graph.initializers)}", array)

    def add(self, op_type: str, *inputs: ir.Value, **attributes: list[int]) -> ir.Value:
        node = ir.node(op_type, inputs, attributes)
        node.name = f"{self._name}.{len(self.nodes)}"
        node.outputs[0].name = f"{node.name}.out"
        self.nodes.append(node)
        return node.outputs[0]


def _expand(graph: ir.Graph, node: ir.Node, opset: int) -> None:
    x, scale, *rest = node.inputs
    assert x is not None and x.shape is not None and scale is not None
    rank = len(x.shape)
    axes = list(range(node.attributes.get_int("axis", -1) % rank, rank))
    build = _Builder(graph, str(node.name))

    def mean_of(value: ir.Value) -> ir.Value:
        if opset >= _AXES_ARE_AN_INPUT:
            return build.add("ReduceMean", value, build.constant(np.array(axes, np.int64)))
        return build.add("ReduceMean", value, axes=axes)

    epsilon = build.constant(np.array(node.attributes.get_float("epsilon", _DEFAULT_EPSILON), np.float32))
    mean = mean_of(x)
    deviation = build.add("Sub", x, mean)
    variance = mean_of(build.add("Mul", deviation, deviation))
    deviations = build.add("Sqrt", build.add("Add", variance, epsilon))
    inverse = build.add("Div", build.constant(np.array(1, np.float32)), deviations)
    y = build.add("Mul", build.add("Mul", deviation, inverse), scale)
    if rest and rest[0] is not None:
        y = build.add("Add", y, rest[0])
    old, new = list(node.outputs), [y, mean, inverse][: len(node.outputs)]
    for before, after in zip(old, new, strict=True):
        if before.name:
            after.name = before.name
    ir.convenience.replace_nodes_and_values(graph, node, [node], build.nodes, old, new)
