"""Group operators that run as one kernel: a convolution or element-wise operator, and what is done to its result.

Before: Conv, Relu, Mul by a mask, Add of a residual, Relu, each writing a feature map.
After: one chain, whose kernel holds the result in registers until its only store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import onnx_ir as ir

from lascompile.analysis.demand import NOWHERE, Demand, Footprint
from lascompile.analysis.fill import Fill
from lascompile.analysis.gates import Gate
from lascompile.analysis.rules import convolution, elementwise
from lascompile.sites.domain import Domain


@dataclass(eq=False)
class Chain:
    """An anchor and the operators behind it, as far as one kernel carries them.

    Attributes:
        anchor: A convolution, an element-wise operator, or a gate's own site, whose gated input is taken as it is.
        nodes: All nodes of the chain, anchor first.
        output: The value that is stored.
        before: Activations of the anchor's result.
        gate: The gate passed, if any: the result is then scattered into a dense map.
        residual: The value added, if any.
        adds_behind_gate: True if it is added to what the gate lets through, and to what it shuts out.
        after: Activations of the sum.
        after_gate: Those of them that come after the gate, so that they apply to the pixels it shuts out as well.
        domain: The pixels that are computed; None is all.
        packs: True if these are stored as packed rows; else they go to their places in a dense map.
    """

    anchor: ir.Node
    output: ir.Value
    nodes: list[ir.Node] = field(default_factory=list)
    before: list[ir.Node] = field(default_factory=list)
    gate: Gate | None = None
    residual: ir.Value | None = None
    adds_behind_gate: bool = False
    after: list[ir.Node] = field(default_factory=list)
    after_gate: list[ir.Node] = field(default_factory=list)
    domain: Domain | None = None
    packs: bool = False

    @property
    def base(self) -> ir.Value | None:
        """What stands at the pixels that are not computed, before `after_gate`; None is zero."""
        if self.gate is not None and self.gate.otherwise is not None:
            return self.gate.otherwise
        return self.residual if self.adds_behind_gate else None

    @property
    def scatters(self) -> bool:
        """True if the rows computed go to their places in a dense map."""
        return self.domain is not None and not self.packs

    @property
    def last(self) -> ir.Node:
        """The last node in execution order."""
        return self.nodes[-1]


@dataclass(frozen=True)
class ChainFinder:
    """Finds the chains of a graph whose live nodes, gates, demands and fills are known.

    The values `kept` are read by others than nodes, so that no chain passes over them.
    """

    gates: Mapping[ir.Node, Gate]
    demands: Mapping[ir.Value, Demand]
    fills: Mapping[ir.Value, Fill]
    live: Mapping[ir.Node, int]
    kept: frozenset[ir.Value]

    def find(self) -> dict[ir.Node, Chain]:
        """All chains, by their last node."""
        taken: set[ir.Node] = set()
        chains: list[Chain] = []
        for node in self.live:
            if node not in taken and (chain := self._start(node)) is not None:
                self._extend(chain, taken)
                self._choose_pixels(chain)
                taken.update(chain.nodes)
                chains.append(chain)
        return {chain.last: chain for chain in chains}

    @cached_property
    def _dense(self) -> set[ir.Value]:
        """The values that are stored densely wherever they are needed: those with a fill, and what fills them."""
        bases = {fill.base for fill in self.fills.values() if fill.base is not None}
        return bases | self.fills.keys()

    def _choose_pixels(self, chain: Chain) -> None:
        if chain.gate is not None:
            chain.domain = frozenset([Footprint(chain.gate.mask)])
        else:
            chain.domain = self._computed_at(chain.output)
            chain.packs = chain.domain is not None and chain.output not in self._dense

    def _computed_at(self, value: ir.Value) -> Domain | None:
        """The pixels that `value`, which no gate has passed, is computed at; None is all."""
        node = value.producer()
        demand = self.demands.get(value, NOWHERE)
        has_kernel = node is not None and node not in self.gates and (is_row_convolution(node) or is_row_map(node))
        return demand.footprints if has_kernel and demand.footprints and not demand.is_everywhere else None

    def _packed_to(self, value: ir.Value) -> Domain | None:
        """The pixels that `value` is packed to; None if it is stored densely."""
        return None if value in self._dense else self._computed_at(value)

    def _start(self, node: ir.Node) -> Chain | None:
        output = node.outputs[0]
        if node in self.gates:
            return Chain(node, output, [node], gate=self.gates[node])
        if is_row_convolution(node) or is_row_map(node):
            return Chain(node, output, [node])
        return None

    def _extend(self, chain: Chain, taken: set[ir.Node]) -> None:
        while (node := self._only_reader(chain.output)) is not None and node not in taken:
            if not self._absorb(chain, node):
                return
            chain.nodes.append(node)
            chain.output = node.outputs[0]

    def _only_reader(self, value: ir.Value) -> ir.Node | None:
        readers = [node for node, _ in value.uses() if node in self.live]
        return readers[0] if len(readers) == 1 and value not in self.kept else None

    def _absorb(self, chain: Chain, node: ir.Node) -> bool:
        gate = self.gates.get(node)
        if gate is not None:
            return self._absorb_gate(chain, gate)
        if node.op_type in elementwise.UNARY and is_row_map(node):
            self._add_activation(chain, node)
            return True
        return node.op_type == "Add" and self._absorb_residual(chain, node)

    def _absorb_gate(self, chain: Chain, gate: Gate) -> bool:
        several_groups_late = gate.mask.groups > 1 and chain.residual is not None
        if chain.gate is not None or gate.gated is not chain.output or several_groups_late:
            return False
        chain.gate = gate
        return True

    @staticmethod
    def _add_activation(chain: Chain, node: ir.Node) -> None:
        if chain.gate is None and chain.residual is None:
            chain.before.append(node)
            return
        chain.after.append(node)
        if chain.gate is not None:
            chain.after_gate.append(node)

    def _absorb_residual(self, chain: Chain, node: ir.Node) -> bool:
        a, b = node.inputs
        other = b if a is chain.output else a
        if other is None or other is chain.output or not _adds_pixel_by_pixel(chain.output, other, node.outputs[0]):
            return False
        if chain.residual is not None or (chain.gate is not None and (chain.gate.otherwise or chain.after)):
            return False
        if chain.gate is None and other in self.fills and self.fills[other].is_zero:
            return False  # the dynamic branch takes this sum, in place
        own = self._computed_at(chain.output) if chain.gate is None else frozenset([Footprint(chain.gate.mask)])
        if self._packed_to(other) not in (None, own):
            return False
        chain.residual = other
        chain.adds_behind_gate = chain.gate is not None
        return True


def _adds_pixel_by_pixel(value: ir.Value, other: ir.Value, total: ir.Value) -> bool:
    """True if both summands have the shape of the sum: an Add that broadcasts either has a larger result than it."""
    return all(elementwise.operand_kind(summand, total) == "map" for summand in (value, other))


def is_row_convolution(node: ir.Node) -> bool:
    """True for a two-dimensional convolution with known weights."""
    return (
        node.op_type == "Conv"
        and convolution.has_constant_weights(node)
        and node.outputs[0].dtype in (ir.DataType.FLOAT, None)
        and convolution.window_of(node) is not None
    )


def is_row_map(node: ir.Node) -> bool:
    """True for an element-wise operator that has a kernel over rows."""
    return node.op_type in elementwise.OPERATORS and elementwise.is_per_pixel(node)
