"""Lower a graph: draft what runs where, let the plan choose how convolutions are computed, and emit the steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from lascompile.analysis.demand import Demand, find_demands
from lascompile.analysis.elements import shape_of
from lascompile.analysis.fill import Fill, find_fills
from lascompile.analysis.gates import Gate, find_gates
from lascompile.analysis.rules import RULES
from lascompile.errors import UnsupportedModelError
from lascompile.lower.chain import Chain, ChainFinder
from lascompile.lower.context import Context, is_row_matrix, shape4
from lascompile.lower.convolution import draft_convolution, draft_linear, is_row_linear
from lascompile.lower.delegated import lower_delegated
from lascompile.lower.draft import Draft
from lascompile.lower.elementwise import lower_map
from lascompile.lower.emit import emit
from lascompile.lower.kernels import Scheduler
from lascompile.lower.lists import Lists
from lascompile.lower.order import execution_order
from lascompile.lower.pooling import is_row_pooling, lower_pooling
from lascompile.lower.program import Buffer, Program, Role

_RESHAPES = {"Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity"}


@dataclass(frozen=True)
class Analysis:
    """What is known of a graph before it is lowered."""

    gates: list[Gate]
    demands: Mapping[ir.Value, Demand]
    fills: Mapping[ir.Value, Fill]


def analyse(graph: ir.Graph) -> Analysis:
    """Find the gates of `graph`, and the demand and fill of its values."""
    gates = find_gates(graph)
    return Analysis(gates, find_demands(graph, gates, RULES), find_fills(graph, gates))


def lower(graph: ir.Graph, analysis: Analysis, scheduler: Scheduler) -> Program:
    """The program that computes `graph`."""
    drafted = draft(graph, analysis, scheduler)
    return emit(drafted, scheduler.plan_sites(drafted.sites))


def draft(graph: ir.Graph, analysis: Analysis, scheduler: Scheduler) -> Draft:
    """The steps that compute `graph`, those of its convolutions open."""
    return _Lowering(graph, analysis, scheduler).draft()


class _Lowering:
    def __init__(self, graph: ir.Graph, analysis: Analysis, scheduler: Scheduler) -> None:
        self._graph = graph
        self._gates = {gate.site: gate for gate in analysis.gates if gate.is_spatial}
        self._live = execution_order(graph, self._gates, analysis.demands)
        self._decisions = {gate.mask.decision for gate in self._gates.values()}
        self._kept = frozenset([*graph.outputs, *self._decisions])
        self._chains = ChainFinder(self._gates, analysis.demands, analysis.fills, self._live, self._kept).find()
        self._in_chain = {node for chain in self._chains.values() for node in chain.nodes}
        runs_at = {node: self._live[last] for last, chain in self._chains.items() for node in chain.nodes}
        inputs = [value for value in graph.inputs if value.name not in graph.initializers]
        begun = Draft([_plain(value, Role.INPUT) for value in inputs])
        self._context = Context(begun, scheduler, self._live | runs_at, self._kept)
        self._context.plain.update(zip(inputs, begun.inputs, strict=True))
        self._lists = Lists(self._context)
        for value in self._decisions.intersection(inputs):
            self._lists.pin(value)
        self._delegated: list[ir.Node] = []

    def draft(self) -> Draft:
        for value in self._graph.outputs:
            if 0 in shape_of(value):
                shape = list(shape_of(value))
                raise UnsupportedModelError(f"output {value.name} has no elements ({shape}); leave it out")
        for node in self._live:
            if node in self._in_chain:
                if node in self._chains:
                    self._flush()
                    self._lower_chain(self._chains[node])
            elif not self._lower_alone(node):
                self._delegated.append(node)
            if node.outputs[0] in self._decisions and node.outputs[0] in self._context.rows:
                self._lists.pin(node.outputs[0])
        self._flush()
        self._context.draft.outputs = [self._output(value) for value in self._graph.outputs]
        return self._context.draft

    def _lower_chain(self, chain: Chain) -> None:
        lower_one = draft_convolution if chain.anchor.op_type == "Conv" else lower_map
        lower_one(self._context, self._lists, chain)

    def _lower_alone(self, node: ir.Node) -> bool:
        """Lower a node that has a kernel of its own; False if it has none."""
        if self._shows_same_rows(node):
            self._flush()
            self._context.rows[node.outputs[0]] = self._context.rows_of(_first(node))
        elif is_row_pooling(node):
            self._flush()
            lower_pooling(self._context, node)
        elif is_row_linear(node):
            self._flush()
            draft_linear(self._context, node)
        else:
            return False
        return True

    def _shows_same_rows(self, node: ir.Node) -> bool:
        """A reshape between [N, C, 1, 1] and [N, C] changes nothing in a row matrix."""
        if node.op_type not in _RESHAPES or node.inputs[0] is None or node.inputs[0].const_value is not None:
            return False
        source, output = node.inputs[0], node.outputs[0]
        if not (is_row_matrix(source) and is_row_matrix(output)) or source in self._context.packed:
            return False
        is_stored_so = source in self._context.rows
        return is_stored_so and shape4(source) == shape4(output)

    def _flush(self) -> None:
        """Hand the delegated operators so far over to TVM, together."""
        nodes, self._delegated = self._delegated, []
        if not nodes:
            return
        inside = set(nodes)
        used = [
            value
            for node in nodes
            for value in node.outputs
            if value in self._kept or any(reader in self._live and reader not in inside for reader, _ in value.uses())
        ]
        lower_delegated(self._context, nodes, used)

    def _output(self, value: ir.Value) -> Buffer:
        """The buffer that the caller finds output `value` in."""
        held = self._context.plain_of(value)
        if held.view_of is not None or held.role is not Role.WORKSPACE:
            held = self._context.copy(held)
        held.name, held.role = str(value.name), Role.OUTPUT
        return held


def _plain(value: ir.Value, role: Role) -> Buffer:
    assert value.shape is not None and value.dtype is not None
    dims = tuple(int(dim) for dim in value.shape)  # type: ignore[arg-type]
    return Buffer(str(value.name), dims, value.dtype.numpy().name, role)


def _first(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None
    return value
