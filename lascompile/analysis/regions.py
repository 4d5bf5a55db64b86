"""Which nodes make up a residual block?

A block is what lies between a *fork*, where a value goes two ways, and the *join* of the two: a sum, or a `Where`
that takes one or the other. The ways are followed along the *main path*, the feature maps that a block passes on;
what only weighs or masks them (a masker, squeeze-and-excitation) hangs on to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from lascompile.analysis.facts import constant, is_binary, operator
from lascompile.analysis.gates import Gate, is_feature_map
from lascompile.analysis.rules import elementwise


@dataclass(frozen=True)
class Region:
    """The nodes of a block, each group in topological order.

    Attributes:
        join: The last node: a sum, or a gate.
        fork: The value that the block reads.
        branch: Nodes on the main path of the branch, up to the join, and with it.
        shortcut: Nodes on the main path around the branch.
        side: Nodes beside the main path that belong to this block alone.
        is_residual: False if nothing goes around the branch.
    """

    join: ir.Node
    fork: ir.Value
    branch: list[ir.Node]
    shortcut: list[ir.Node] = field(default_factory=list)
    side: list[ir.Node] = field(default_factory=list)
    is_residual: bool = True


def find_regions(graph: ir.Graph, gates: Iterable[Gate]) -> list[Region]:
    """The blocks of `graph` in topological order, none within another."""
    return _Finder(graph, {gate.site: gate for gate in gates}).find()


class _Finder:
    def __init__(self, graph: ir.Graph, gates: Mapping[ir.Node, Gate]) -> None:
        self._graph = graph
        self._gates = gates
        self._position = {node: position for position, node in enumerate(graph)}
        # Decisions may be outputs of the model too, or be counted for one; they carry no feature map for that.
        self._deciding = {gate.mask.decision.producer() for gate in gates.values()}
        self._main = self._upstream(graph.outputs)

    def find(self) -> list[Region]:
        residual: list[Region] = []
        for node in self._graph:
            region = self._residual_at(node) if node in self._main else None
            if region is not None:
                residual = self._without_inner(residual, region)
        taken = {node for region in residual for node in (*region.branch, *region.shortcut)}
        plain = [self._plain_at(gate, taken) for gate in self._gates.values()]
        regions = [*residual, *(region for region in plain if region is not None)]
        return self._with_sides(sorted(regions, key=lambda region: self._position[region.join]))

    def _residual_at(self, join: ir.Node) -> Region | None:
        sides = self._sides(join)
        if len(sides) < 2:
            return None
        ways = [self._upstream([side]) for side in sides]
        fork = self._fork([self._values(side, way) for side, way in zip(sides, ways, strict=True)])
        if fork is None:
            return None
        before = self._upstream([fork])
        # The way around the branch has no gate, and the least to do.
        around = min((way - before for way in ways), key=lambda nodes: (self._has_gate(nodes), _work(nodes)))
        branch = self._upstream(join.outputs) - before - around
        if self._has_gate(around) or _work(around) > 1 or not _work(branch):
            return None
        return Region(join, fork, self._sorted(branch), self._sorted(around))

    def _sides(self, join: ir.Node) -> list[ir.Value]:
        """The maps that `join` joins: both ways of a `Where`, or the terms of a sum; none if it joins nothing."""
        gate = self._gates.get(join)
        if gate is not None:
            return [] if gate.otherwise is None else [gate.otherwise, gate.gated]
        return self._terms(join)

    def _terms(self, node: ir.Node) -> list[ir.Value]:
        """The feature maps that `node` adds up, or takes the largest of; those of an inner one in its place."""
        output = node.outputs[0]
        if operator(node) not in ("Add", "Max") or node in self._gates or not is_feature_map(output):
            return []
        terms: list[ir.Value] = []
        for value in node.inputs:
            if value is None or value.shape != output.shape or constant(value) is not None:
                return []
            producer = value.producer()
            alone = len(value.uses()) == 1 and not value.is_graph_output()
            inner = self._terms(producer) if producer is not None and alone else []
            terms += inner or [value]
        return terms if len(set(terms)) == len(terms) else []

    def _without_inner(self, found: list[Region], new: Region) -> list[Region]:
        """`found` and `new`, less those that are a part of another or hold another.

        A sum within a block that has its fork in common is one more way around the same branch: the outer one
        counts. Otherwise the inner ones do, since they are the blocks of a larger part.
        """
        inside = set(new.branch) | set(new.shortcut)
        inner = [region for region in found if region.join in inside]
        if all(region.fork is new.fork for region in inner):
            return [*(region for region in found if region not in inner), new]
        return found

    def _plain_at(self, gate: Gate, taken: set[ir.Node]) -> Region | None:
        """The part before a gate that is not in a residual block."""
        if gate.site in taken or gate.site not in self._main or not gate.is_spatial:
            return None
        way = self._upstream([gate.gated])
        decision = self._values(gate.mask.decision, ancestors(gate.mask.decision))
        fork = self._fork([self._values(gate.gated, way), decision])
        if fork is None:
            return None
        branch = self._sorted(way - self._upstream([fork]) - taken)
        return Region(gate.site, fork, [*branch, gate.site], is_residual=False) if _work(branch) else None

    def _with_sides(self, regions: list[Region]) -> list[Region]:
        """Give every node beside the main path to the first block that it serves."""
        claimed: set[ir.Node] = set()
        for region in regions:
            pending = list(region.branch)
            while pending:
                for value in pending.pop().inputs:
                    node = value.producer() if value is not None else None
                    if node is not None and node not in self._main and node not in claimed:
                        claimed.add(node)
                        region.side.append(node)
                        pending.append(node)
            region.side.sort(key=self._position.__getitem__)
        return regions

    def _upstream(self, values: Iterable[ir.Value]) -> set[ir.Node]:
        """The nodes on the main path that leads to `values`."""
        found: set[ir.Node] = set()
        pending = list(values)
        while pending:
            node = pending.pop().producer()
            if node is not None and node not in found and node not in self._deciding:
                found.add(node)
                pending += self._main_inputs(node)
        return found

    def _main_inputs(self, node: ir.Node) -> list[ir.Value]:
        """The inputs of `node` that it passes on, rather than weighs or selects by."""
        gate = self._gates.get(node)
        if gate is not None:
            return [value for value in (gate.gated, gate.otherwise) if value is not None]
        inputs = [value for value in node.inputs if value is not None and constant(value) is None]
        if operator(node) == "Concat":
            return inputs
        if operator(node) in (*elementwise.BINARY, "Where"):
            maps = [value for value in inputs if not is_binary(value)]
            return [value for value in maps if value.shape == node.outputs[0].shape] or maps
        return inputs[:1]

    def _values(self, end: ir.Value, way: set[ir.Node]) -> set[ir.Value]:
        """All values on the way to `end`, and itself."""
        inputs = {value for node in way for value in self._main_inputs(node)}
        return {end, *inputs, *(value for node in way for value in node.outputs)}

    def _fork(self, ways: list[set[ir.Value]]) -> ir.Value | None:
        """The last value that all ways have in common."""
        return max(set.intersection(*ways), key=self._position_of, default=None)

    def _position_of(self, value: ir.Value) -> int:
        node = value.producer()
        return -1 if node is None else self._position[node]

    def _has_gate(self, nodes: Iterable[ir.Node]) -> bool:
        return any(node in self._gates for node in nodes)

    def _sorted(self, nodes: Iterable[ir.Node]) -> list[ir.Node]:
        return sorted(nodes, key=self._position.__getitem__)


def ancestors(value: ir.Value) -> set[ir.Node]:
    """All nodes that `value` is computed by."""
    found: set[ir.Node] = set()
    pending = [value]
    while pending:
        node = pending.pop().producer()
        if node is not None and node not in found:
            found.add(node)
            pending += [source for source in node.inputs if source is not None]
    return found


def _work(nodes: Iterable[ir.Node]) -> int:
    """How many convolutions there are."""
    return sum(operator(node) == "Conv" for node in nodes)
