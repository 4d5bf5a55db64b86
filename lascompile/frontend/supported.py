"""Refuse a graph with operators that cannot be compiled, naming all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container

import onnx_ir as ir

from lascompile.analysis.facts import operator
from lascompile.errors import UnsupportedModelError

_NAMES_SHOWN = 3


def check_supported(graph: ir.Graph, supported: Container[str]) -> None:
    """Check that every operator of a simplified `graph` is in `supported`.

    Raises:
        UnsupportedModelError: Some are not; the message lists each with the names of its nodes.
    """
    nodes = find_unsupported(graph, supported)
    if nodes:
        listed = "; ".join(f"{name} ({_list(nodes[name])})" for name in sorted(nodes))
        raise UnsupportedModelError(f"operators that are not supported: {listed}; {_advice(nodes)}")


def find_unsupported(graph: ir.Graph, supported: Container[str]) -> dict[str, list[str]]:
    """The names of the nodes of `graph` that cannot be compiled, by operator.

    Operators that hold graphs of their own (`If`, `Loop`) and those of other domains than ONNX's never can.
    """
    nodes: dict[str, list[str]] = defaultdict(list)
    for node in graph:
        if operator(node) not in supported or node.op_type != operator(node) or _holds_graph(node):
            nodes[operator(node)].append(str(node.name))
    return dict(nodes)


def _holds_graph(node: ir.Node) -> bool:
    kinds = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return any(attribute.type in kinds for attribute in node.attributes.values())


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{', '.join(names[:_NAMES_SHOWN])}{more}"


def _advice(nodes: dict[str, list[str]]) -> str:
    if {"If", "Loop", "Scan"} & nodes.keys():
        return "export with static shapes, and without Python conditions or loops on values that are computed"
    return "write that part of the network with other operators, and export it again"
