"""What is each value where its mask is off? Computed forwards, from the gates on.

A gate leaves zero there, or its other branch. A sum with a residual turns zero into the residual; a function of one
argument is applied to whatever the fill was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnx_ir as ir

from lascompile.analysis.facts import is_nonnegative
from lascompile.analysis.gates import Gate
from lascompile.analysis.rules import elementwise


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
        return self.base is None and not self.then

    @property
    def is_base(self) -> bool:
        """True if the value is the base itself there: nothing was applied, or nothing that changes it."""
        return all(node.op_type == "Identity" or (node.op_type == "Relu" and self._nonnegative) for node in self.then)

    @property
    def _nonnegative(self) -> bool:
        return self.base is None or is_nonnegative(self.base)


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
    if node.op_type in elementwise.UNARY and node.inputs[0] in fills:
        fill = fills[node.inputs[0]]
        return replace(fill, then=(*fill.then, node))
    if node.op_type == "Add":
        return _fill_of_sum(node, fills)
    return None


def _fill_of_sum(node: ir.Node, fills: dict[ir.Value, Fill]) -> Fill | None:
    """zero + residual = residual."""
    shape = node.outputs[0].shape
    for value, residual in (tuple(node.inputs), tuple(node.inputs)[::-1]):
        fill = fills.get(value) if value is not None else None
        if fill is not None and fill.is_zero and residual is not None and residual.shape == shape:
            return Fill(fill.gate, residual)
    return None
