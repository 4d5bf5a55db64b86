"""Write a sum, largest or least of several maps as operators of two, which have kernels and transfer functions.

Before: a, b, c → `Sum`
After: a, b → `Add` → `Add`(c), in the order in which the standard adds them up
"""

from __future__ import annotations

import onnx_ir as ir

_BINARY = {"Sum": "Add", "Max": "Max", "Min": "Min"}


def split_into_pairs(graph: ir.Graph) -> None:
    """Rewrite every `Sum` of `graph`, and every `Max` and `Min` of more than two."""
    for node in list(graph):
        arity = len(node.inputs)
        if node.domain == "" and (node.op_type == "Sum" or (node.op_type in _BINARY and arity > 2)) and arity > 1:
            _split(graph, node)


def _split(graph: ir.Graph, node: ir.Node) -> None:
    total, *others = node.inputs
    pairs: list[ir.Node] = []
    for number, other in enumerate(others, 1):
        pair = ir.node(_BINARY[node.op_type], [total, other])
        is_last = number == len(others)
        pair.name = node.name if is_last else f"{node.name}.{number}"
        total = pair.outputs[0]
        total.name = node.outputs[0].name if is_last else f"{node.outputs[0].name}.{number}"
        pairs.append(pair)
    assert total is not None
    total.shape, total.type = node.outputs[0].shape, node.outputs[0].type
    ir.convenience.replace_nodes_and_values(graph, node, [node], pairs, node.outputs[:1], [total])
