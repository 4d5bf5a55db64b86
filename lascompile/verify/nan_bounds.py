"""Which elements of an output may be NaN, and which must be? Two models bracket every legitimate artifact.

Two things keep onnxruntime from being the reference as it is:

- `Mul` by a mask keeps NaN even where the mask is 0. Code that skips those pixels never sees the NaN, and
  writes there what the mask means. A block that was compiled dense multiplies, and keeps the NaN.
- `MaxPool` of numbers and NaN has no defined result in ONNX; onnxruntime's depends on their order in the
  window.

With `fewest_nans`, a mask selects instead of multiplying, and a maximum is NaN only if all of its window is.
With `most_nans`, a mask multiplies, and a maximum is NaN if any of its window is. What is NaN in the first
must be NaN in the artifact; what is a number in the second must be that number.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from lascompile.analysis.gates import find_gates
from lascompile.frontend.rewire import new_constant, replace_readers

_MAXIMA = {"MaxPool", "GlobalMaxPool", "ReduceMax"}


def fewest_nans(model: ir.Model) -> ir.Model:
    """A copy of `model` (canonical) in which NaN spreads as little as it may."""
    copy = model.clone()
    gates = [gate for gate in find_gates(copy.graph) if gate.site.op_type == "Mul"]
    # Positions, since a map that one gate lets through may be what the next one masks.
    for site, position in [(gate.site, tuple(gate.site.inputs).index(gate.gated)) for gate in gates]:
        _select_at(site, position)
    for node in _maxima(copy.graph):
        _Maximum(node).bound(least=True)
    return copy


def most_nans(model: ir.Model) -> ir.Model:
    """A copy of `model` (canonical) in which NaN spreads as far as it may."""
    copy = model.clone()
    for node in _maxima(copy.graph):
        _Maximum(node).bound(least=False)
    return copy


def defines_nans(model: ir.Model) -> bool:
    """True if only masks decide how far NaN spreads: then an element that escaped it has one right value."""
    return not _maxima(model.graph)


def _maxima(graph: ir.Graph) -> list[ir.Node]:
    return [
        node
        for node in graph
        if node.op_type in _MAXIMA and len(node.outputs) == 1 and node.outputs[0].dtype == ir.DataType.FLOAT
    ]


def _select_at(site: ir.Node, position: int) -> None:
    """`Mul`(f, mask) → `Where`(mask, f, 0), for f at `position` of the inputs."""
    gated, selector = site.inputs[position], site.inputs[1 - position]
    assert gated is not None and selector is not None
    after = _Chain(site)
    condition = after.add("Cast", [selector], {"to": int(ir.DataType.BOOL)}, ir.DataType.BOOL, selector.shape)
    after.replace(after.add("Where", [condition, gated, after.number(0.0)]))


class _Maximum:
    """NaN, where all or any of the window is; else the maximum of its numbers."""

    def __init__(self, node: ir.Node) -> None:
        self._node = node
        self._after = _Chain(node)

    def bound(self, least: bool) -> None:
        after = self._after
        source = self._node.inputs[0]
        assert source is not None
        is_nan = after.add("IsNaN", [source], dtype=ir.DataType.BOOL, shape=source.shape)
        numbers = after.add("Where", [is_nan, after.number(-np.inf), source], shape=source.shape)
        # All are NaN: none is a number. Any is: one is not. A maximum over zeros and ones finds either.
        sought = after.add("Not", [is_nan], dtype=ir.DataType.BOOL, shape=source.shape) if least else is_nan
        flags = after.add("Cast", [sought], {"to": int(ir.DataType.FLOAT)}, shape=source.shape)
        found = after.add(
            "Less" if least else "Greater", [self._like(flags), after.number(0.5)], dtype=ir.DataType.BOOL
        )
        after.replace(after.add("Where", [found, after.number(np.nan), self._like(numbers)]))

    def _like(self, source: ir.Value) -> ir.Value:
        node = self._node
        return self._after.append(
            ir.Node(node.domain, node.op_type, [source, *node.inputs[1:]], list(node.attributes.values()))
        )


class _Chain:
    """Nodes inserted behind `site`, the last of which takes its place."""

    def __init__(self, site: ir.Node) -> None:
        assert site.graph is not None
        self._graph = site.graph
        self._site = self._last = site
        self._output = site.outputs[0]

    def add(
        self,
        op_type: str,
        inputs: list[ir.Value],
        attributes: dict[str, int] | None = None,
        dtype: ir.DataType = ir.DataType.FLOAT,
        shape: ir.Shape | None = None,
    ) -> ir.Value:
        return self.append(ir.node(op_type, inputs, attributes), dtype, shape)

    def append(self, node: ir.Node, dtype: ir.DataType = ir.DataType.FLOAT, shape: ir.Shape | None = None) -> ir.Value:
        """Insert `node`; its output has the site's shape, if no other is given."""
        value = node.outputs[0]
        node.name = value.name = f"{self._output.name}.nan.{len(self._graph)}"
        value.type, value.shape = ir.TensorType(dtype), shape or self._output.shape
        self._graph.insert_after(self._last, node)
        self._last = node
        return value

    def number(self, number: float) -> ir.Value:
        name = f"{self._output.name}.nan.constant.{len(self._graph.initializers)}"
        return new_constant(self._graph, name, np.asarray(number, np.float32))

    def replace(self, value: ir.Value) -> None:
        """Let `value` take the place of the site's output."""
        name, self._output.name = str(self._output.name), f"{self._output.name}.before"
        replace_readers(self._graph, self._output, value, output_name=name)
        self._graph.remove(self._site, safe=True)
