"""What is each value where its mask is off? Computed forwards, from the gates on.

A gate leaves zero there, or its other branch. A sum with a residual turns zero into the residual; a
function of one argument is applied to whatever the fill was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import onnx_ir as ir

from lascompile.analysis.facts import Range, constant, operator, range_of
from lascompile.analysis.gates import Gate
from lascompile.analysis.rules import elementwise

_ZERO = Range(0, 0, whole=True)
# Above zero these do nothing.
_KEEPS_NONNEGATIVE = {"Relu", "LeakyRelu", "Elu", "Abs"}


@dataclass(frozen=True)
class Fill:
    """A value known wherever `gate`'s mask is off.

    Attributes:
        gate: The gate that the value passed.
        base: The value it equals there, before `then`; None is zero.
        then: The operators of one argument applied to the base since, first to last.
    """

    gate: Gate
    base: ir.Value | None = None
    then: tuple[ir.Node, ...] = ()

    @property
    def is_zero(self) -> bool:
        """True if the value is zero where the mask is off."""
        return self.base is None and self.is_base

    @property
    def is_base(self) -> bool:
        """True if the value is the base itself there: nothing was applied, or nothing that changes it."""
        return leave_alone(self.then, self.base)


def find_fills(graph: ir.Graph, gates: list[Gate]) -> dict[ir.Value, Fill]:
    """The fill of every value of `graph` that has one."""
    gate_at = {gate.site: gate for gate in gates if gate.is_spatial}
    fills: dict[ir.Value, Fill] = {}
    for node in graph:
        fill = _fill_of_output(node, gate_at.get(node), fills)
        if fill is not None:
            fills[node.outputs[0]] = fill
    return fills


def _fill_of_output(node: ir.Node, gate: Gate | None, fills: dict[ir.Value, Fill]) -> Fill | None:
    if gate is not None:
        return Fill(gate, gate.otherwise)
    if _has_one_argument(node) and node.inputs[0] in fills:
        fill = fills[node.inputs[0]]
        return replace(fill, then=(*fill.then, node))
    if operator(node) == "Add":
        return _fill_of_sum(node, fills)
    return None


def _fill_of_sum(node: ir.Node, fills: dict[ir.Value, Fill]) -> Fill | None:
    """Before: 0 + residual; after: residual."""
    shape = node.outputs[0].shape
    for value, residual in (tuple(node.inputs), tuple(node.inputs)[::-1]):
        fill = fills.get(value) if value is not None else None
        if fill is None or value is None or residual is None:
            continue
        if fill.is_zero and value.shape == residual.shape == shape:
            return Fill(fill.gate, residual)
    return None


def _has_one_argument(node: ir.Node) -> bool:
    """True for a function of one map whose other inputs, such as the bounds of a Clip, are constants."""
    return operator(node) in elementwise.UNARY and all(
        value is None or constant(value) is not None for value in node.inputs[1:]
    )


def leave_alone(nodes: Iterable[ir.Node], base: ir.Value | None) -> bool:
    """True if operators of one argument, applied one after the other, change no element of `base`; None is zero."""
    known = _ZERO if base is None else range_of(base)
    return all(_keeps(node, known) for node in nodes)


def _keeps(node: ir.Node, known: Range) -> bool:
    """True if `node` changes no element of a value of which `known` holds."""
    if operator(node) == "Clip":
        low, high = (*node.inputs[1:], None, None)[:2]
        return (low is None or range_of(low).high <= known.low) and (high is None or known.high <= range_of(high).low)
    return operator(node) == "Identity" or (operator(node) in _KEEPS_NONNEGATIVE and known.low >= 0)
