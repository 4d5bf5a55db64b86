"""In which order the nodes of a graph run."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping

import onnx_ir as ir

from lascompile.analysis.demand import NOWHERE, Demand
from lascompile.analysis.gates import Gate


def execution_order(
    graph: ir.Graph, gates: Mapping[ir.Node, Gate], demands: Mapping[ir.Value, Demand]
) -> dict[ir.Node, int]:
    """The nodes that have to run, with their positions: the file's order, but decisions before what they spare.

    An exporter may write a masker behind the convolutions that its mask makes sparse; these wait for it. A gate needs
    its decision and its feature maps, but not what repeats the decision for every pixel.
    """
    needs = {node: set(_producers(node, gates, demands)) for node in graph}
    alive = _reachable([value.producer() for value in graph.outputs], needs)
    index = {node: position for position, node in enumerate(graph)}
    readers: dict[ir.Node, list[ir.Node]] = {node: [] for node in alive}
    waiting = {}
    for node in alive:
        waiting[node] = len(needs[node])
        for producer in needs[node]:
            readers[producer].append(node)
    ready = [index[node] for node in alive if not waiting[node]]
    heapq.heapify(ready)
    nodes = list(graph)
    order: dict[ir.Node, int] = {}
    while ready:
        node = nodes[heapq.heappop(ready)]
        order[node] = len(order)
        for reader in readers[node]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, index[reader])
    assert len(order) == len(alive), "a decision depends on what it spares"
    return order


def _producers(node: ir.Node, gates: Mapping[ir.Node, Gate], demands: Mapping[ir.Value, Demand]) -> Iterator[ir.Node]:
    """The nodes that have to run before `node`."""
    gate = gates.get(node)
    sources = list(node.inputs) if gate is None else [gate.gated, gate.otherwise, gate.mask.decision]
    for output in node.outputs:
        sources += [footprint.mask.decision for footprint in demands.get(output, NOWHERE).footprints]
    for value in sources:
        if value is not None and (producer := value.producer()) is not None:
            yield producer


def _reachable(start: list[ir.Node | None], needs: Mapping[ir.Node, set[ir.Node]]) -> set[ir.Node]:
    found: set[ir.Node] = set()
    pending = [node for node in start if node is not None]
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending.extend(needs[node])
    return found
