"""Which elements of an output may be NaN, and which must be? Two models bracket every legitimate artifact.

Two things keep onnxruntime from being the reference as it is:

- `Mul` by a mask keeps NaN even where the mask is 0. Code that skips those pixels never sees the NaN, and
  writes there what the mask means. A block that was compiled dense multiplies, and keeps the NaN.
- `MaxPool` of numbers and NaN has no defined result in ONNX; onnxruntime's depends on their order in the
  window.

Fast numerics add a third: an algorithm that takes products apart subtracts an infinity from itself, and one that
computes tiles spreads what is not finite over a tile (see `reaches`).

With `fewest_nans`, a mask selects instead of multiplying, and a maximum is NaN only if all of its window is.
With `most_nans`, a mask multiplies, a maximum is NaN if any of its window is, and so is all that a fast algorithm may
spoil. What is NaN in the first must be NaN in the artifact; what is a number in the second must be that number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx_ir as ir

from lascompile.analysis.gates import find_gates
from lascompile.frontend.rewire import new_constant, replace_readers
from lascompile.manifest import StepSpec
from lascompile.schedules.backends import backend_of

_MAXIMA = {"MaxPool", "GlobalMaxPool", "ReduceMax"}


def reaches(steps: Iterable[StepSpec], kind: str) -> dict[str, int]:
    """By ONNX node that a fast algorithm computes: its reach in pixels. Empty under exact numerics.

    Args:
        steps: An artifact's.
        kind: The kind of its target.
    """
    algorithms = backend_of(kind).algorithms
    used = {step.node: algorithms[step.algorithm].nan_reach for step in steps if step.algorithm is not None}
    return {node: reach for node, reach in used.items() if reach is not None}


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


def most_nans(model: ir.Model, reaches: Mapping[str, int] | None = None) -> ir.Model:
    """A copy of `model` (canonical) in which NaN spreads as far as it may, given the `reaches` of fast algorithms."""
    copy = model.clone()
    for node in _maxima(copy.graph):
        _Maximum(node).bound(least=False)
    for node in list(copy.graph):
        reach = (reaches or {}).get(str(node.name))
        if reach is not None:
            _spread_strange(node, reach)
    return copy


def _spread_strange(node: ir.Node, reach: int) -> None:
    """Conv(x) → Conv(x'), NaN in all channels of each pixel that has something not finite at most `reach` away."""
    source, graph = node.inputs[0], node.graph
    assert source is not None and source.shape is not None and graph is not None
    before = _Chain(node, f"{node.name}.input")
    is_nan = before.add("IsNaN", [source], dtype=ir.DataType.BOOL, shape=source.shape)
    is_infinite = before.add("IsInf", [source], dtype=ir.DataType.BOOL, shape=source.shape)
    strange = before.add("Or", [is_nan, is_infinite], dtype=ir.DataType.BOOL, shape=source.shape)
    if reach:
        flags = before.add("Cast", [strange], {"to": int(ir.DataType.FLOAT)}, shape=source.shape)
        (batch, channels, height, width), side = source.shape.numpy(), 2 * reach + 1
        shape = ir.Shape((batch, 1, height, width))
        ones = before.constant(np.ones((1, channels, side, side), np.float32))
        found = before.add("Conv", [flags, ones], {"pads": [reach] * 4}, shape=shape)
        strange = before.add("Greater", [found, before.number(0.5)], dtype=ir.DataType.BOOL, shape=shape)
    node.replace_input_with(0, before.add("Where", [strange, before.number(np.nan), source], shape=source.shape))


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
    """Nodes inserted one after the other behind `site`, whose place the last may take; or, with a `prefix`, before."""

    def __init__(self, site: ir.Node, prefix: str | None = None) -> None:
        assert site.graph is not None
        self._graph = site.graph
        self._site = site
        self._last = site if prefix is None else None
        self._output = site.outputs[0]
        self._prefix = prefix or str(self._output.name)

    def add(
        self,
        op_type: str,
        inputs: list[ir.Value],
        attributes: dict[str, int | list[int]] | None = None,
        dtype: ir.DataType = ir.DataType.FLOAT,
        shape: ir.Shape | None = None,
    ) -> ir.Value:
        return self.append(ir.node(op_type, inputs, attributes), dtype, shape)

    def append(self, node: ir.Node, dtype: ir.DataType = ir.DataType.FLOAT, shape: ir.Shape | None = None) -> ir.Value:
        """Insert `node`; its output has the site's shape, if no other is given."""
        value = node.outputs[0]
        node.name = value.name = f"{self._prefix}.nan.{len(self._graph)}"
        value.type, value.shape = ir.TensorType(dtype), shape or self._output.shape
        if self._last is None:
            self._graph.insert_before(self._site, node)
        else:
            self._graph.insert_after(self._last, node)
            self._last = node
        return value

    def number(self, number: float) -> ir.Value:
        return self.constant(np.asarray(number, np.float32))

    def constant(self, array: np.ndarray) -> ir.Value:
        return new_constant(self._graph, f"{self._prefix}.nan.constant.{len(self._graph.initializers)}", array)

    def replace(self, value: ir.Value) -> None:
        """Let `value` take the place of the site's output."""
        name, self._output.name = str(self._output.name), f"{self._output.name}.before"
        replace_readers(self._graph, self._output, value, output_name=name)
        self._graph.remove(self._site, safe=True)
