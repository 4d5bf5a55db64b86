"""How far is a decision from falling the other way?

A decision is a comparison of logits, perhaps negated, combined or moved about since. Next to such a chain of
operators, a second one is built that computes a signed margin instead, an element a decision:

    logits a, b → GreaterOrEqual → Not → Cast → …          the decision, 0 or 1
    logits a, b → Sub            → Neg →        …          the margin: above zero where the decision is on

And a third, that computes the size of the numbers that were summed up for it, since float32 rounds in
proportion to those (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1: |error| ≤ γₙ
|w|·|x|). The margin of a masker whose logits cancel is small against its size, however large it is against
the logits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from lascompile.analysis.facts import constant, is_binary, moves_elements, operator
from lascompile.frontend.rewire import new_constant

_AT_LEAST = {"Greater", "GreaterOrEqual"}
_AT_MOST = {"Less", "LessOrEqual"}
_PREDICATES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Equal": np.equal,
}
_SUMS = {"Conv", "Gemm", "MatMul"}
_AVERAGES = {"AveragePool", "GlobalAveragePool", "ReduceMean"}


@dataclass(frozen=True)
class Margin:
    """Two values of the shape of a decision.

    Attributes:
        signed: Above zero where the decision is on, below where it is off; how far it is from the other.
        size: The sum of the absolute values of the terms that the margin is the sum of.
        decides_nan: True if the decision on a NaN is defined: comparing with it is false, but ONNX does not say where
            `ArgMax` puts it, nor what integer `Round` of it becomes.
    """

    signed: ir.Value
    size: ir.Value
    decides_nan: bool = True


def add_margin(graph: ir.Graph, decision: ir.Value) -> Margin | None:
    """Add to `graph` the nodes that compute the margin of `decision`.

    Returns:
        The margin, or None where the decision is not made of comparisons in a way that is understood.
    """
    builder = _Builder(graph, str(decision.name))
    return builder.margin(decision)


class _Builder:
    """Appends nodes whose names start with the decision's."""

    def __init__(self, graph: ir.Graph, prefix: str) -> None:
        self._graph = graph
        self._prefix = prefix

    def margin(self, value: ir.Value | None) -> Margin | None:
        """The margin of a binary value."""
        node = value.producer() if value is not None else None
        if node is None:
            return None
        if moves_elements(node):
            return self._map(self.margin(node.inputs[0]), lambda moved: self._move(node, moved))
        if operator(node) in _PREDICATES:
            return self._of_comparison(node)
        if operator(node) in ("ArgMax", "ArgMin"):
            return self._of_choice(node)
        if operator(node) == "Not":
            return self._negated(self.margin(node.inputs[0]))
        if operator(node) == "Sub":  # 1 - mask
            return self._negated(self.margin(node.inputs[1])) if is_binary(node.inputs[1]) else None
        if operator(node) in ("And", "Mul", "Min"):
            return self._combined(node, "Min")
        if operator(node) in ("Or", "Max"):
            return self._combined(node, "Max")
        if operator(node) == "Xor":
            return self._exclusive(node)
        if operator(node) == "Where":
            return self._of_numbers(node)
        if operator(node) == "Relu":
            return self._of_positive(node.inputs[0])
        if operator(node) == "Round":  # of a sigmoid, or it would not be binary
            return _without_nan(self._difference(node.inputs[0], self._number(0.5)))
        return None

    def size(self, value: ir.Value) -> ir.Value:
        """The sum of the absolute values of the terms that `value` is the sum of."""
        node = value.producer()
        source = node.inputs[0] if node is not None and node.inputs else None
        if node is None or source is None:
            return self._add("Abs", [value])
        if moves_elements(node):
            return self._move(node, self.size(source))
        if operator(node) in ("Add", "Sub"):
            return self._add("Add", [self.size(term) for term in node.inputs if term is not None])
        if operator(node) in _AVERAGES:
            return self._like(node, [self.size(source), *node.inputs[1:]])
        if operator(node) in ("Mul", "Div") and constant(node.inputs[1]) is not None:  # a temperature
            return self._add("Abs", [self._like(node, [self.size(source), node.inputs[1]])])
        if operator(node) in _SUMS:
            return self._like(node, [self._add("Abs", [term]) if term is not None else None for term in node.inputs])
        if operator(node) == "Sigmoid":  # its slope is a quarter at most
            return self._add("Add", [self._add("Mul", [self.size(source), self._number(0.25)]), value])
        return self._add("Abs", [value])

    def _of_comparison(self, node: ir.Node) -> Margin | None:
        a, b = node.inputs
        if a is None or b is None:
            return None
        if is_binary(a) and (threshold := constant(b)) is not None:
            return self._of_binary(a, _PREDICATES[operator(node)], threshold.numpy())
        if operator(node) in _AT_LEAST:
            return self._difference(a, b)
        return self._difference(b, a) if operator(node) in _AT_MOST else None

    def _of_binary(
        self,
        value: ir.Value,
        predicate: Callable[[np.ndarray, np.ndarray], np.ndarray],
        threshold: np.ndarray,
    ) -> Margin | None:
        """The margin of `predicate`(value, threshold), which is the binary value again, or its opposite."""
        at_zero, at_one = (predicate(np.asarray(bit, threshold.dtype), threshold) for bit in (0, 1))
        if at_one.all() and not at_zero.any():
            return self.margin(value)
        return self._negated(self.margin(value)) if at_zero.all() and not at_one.any() else None

    def _of_choice(self, node: ir.Node) -> Margin | None:
        """ArgMax over two: the second less the first, since the first wins a tie."""
        logits = node.inputs[0]
        assert logits is not None
        source = logits.producer()
        if source is not None and operator(source) == "Softmax" and source.inputs[0] is not None:
            logits = source.inputs[0]
        axis = _attribute(node, "axis", 0)
        # One index in a list keeps the axis, a bare one drops it.
        keeps_axis = bool(_attribute(node, "keepdims", 1))
        first, second = (
            self._add("Gather", [logits, self._number([i] if keeps_axis else i, np.int64)], {"axis": axis})
            for i in (0, 1)
        )
        pair = (second, first) if operator(node) == "ArgMax" else (first, second)
        return _without_nan(self._difference(*pair))

    def _difference(self, a: ir.Value | None, b: ir.Value | None) -> Margin | None:
        if a is None or b is None or _is_decided(a) or _is_decided(b):
            return None
        size = self._add("Add", [self.size(a), self.size(b)])
        return Margin(self._add("Sub", [a, b]), size)

    def _combined(self, node: ir.Node, op_type: str) -> Margin | None:
        """And: the nearer one of those that are off, else the nearest: the least of the signed margins."""
        first, second = (self.margin(value) for value in node.inputs)
        if first is None or second is None:
            return None
        signed = self._add(op_type, [first.signed, second.signed])
        size = self._add("Max", [first.size, second.size])
        return Margin(signed, size, first.decides_nan and second.decides_nan)

    def _exclusive(self, node: ir.Node) -> Margin | None:
        """The nearer of the two, below zero where both are on or both are off."""
        first, second = (self.margin(value) for value in node.inputs)
        if first is None or second is None:
            return None
        differ = self._add("Neg", [self._add("Sign", [self._add("Mul", [first.signed, second.signed])])])
        nearer = self._add("Min", [self._add("Abs", [margin.signed]) for margin in (first, second)])
        size = self._add("Max", [first.size, second.size])
        return Margin(self._add("Mul", [differ, nearer]), size, first.decides_nan and second.decides_nan)

    def _of_numbers(self, node: ir.Node) -> Margin | None:
        """`Where` of one and zero is its condition, or the opposite."""
        on, off = (constant(value) for value in node.inputs[1:])
        if on is None or off is None:
            return None
        numbers = on.numpy(), off.numpy()
        if (numbers[0] == 1).all() and (numbers[1] == 0).all():
            return self.margin(node.inputs[0])
        opposite = (numbers[0] == 0).all() and (numbers[1] == 1).all()
        return self._negated(self.margin(node.inputs[0])) if opposite else None

    def _of_positive(self, value: ir.Value | None) -> Margin | None:
        """`Relu` of a sign is on where what has the sign is above zero; of a binary value it is that."""
        node = value.producer() if value is not None else None
        if value is not None and is_binary(value):
            return self.margin(value)
        if node is None or operator(node) != "Sign":
            return None
        return self._difference(node.inputs[0], self._number(0))

    def _negated(self, margin: Margin | None) -> Margin | None:
        return None if margin is None else replace(margin, signed=self._add("Neg", [margin.signed]))

    def _map(self, margin: Margin | None, apply: Callable[[ir.Value], ir.Value]) -> Margin | None:
        return None if margin is None else replace(margin, signed=apply(margin.signed), size=apply(margin.size))

    def _move(self, node: ir.Node, moved: ir.Value) -> ir.Value:
        """`node`, applied to other elements; a cast is passed over, since margins stay float32."""
        return moved if operator(node) == "Cast" else self._like(node, [moved, *node.inputs[1:]])

    def _like(self, node: ir.Node, inputs: list[ir.Value | None]) -> ir.Value:
        return self._append(ir.Node(node.domain, node.op_type, inputs, list(node.attributes.values())))

    def _add(self, op_type: str, inputs: list[ir.Value], attributes: dict[str, int] | None = None) -> ir.Value:
        return self._append(ir.node(op_type, inputs, attributes))

    def _append(self, node: ir.Node) -> ir.Value:
        node.name = node.outputs[0].name = f"{self._prefix}.margin.{len(self._graph)}"
        self._graph.append(node)
        return node.outputs[0]

    def _number(self, number: float | list[int], dtype: type = np.float32) -> ir.Value:
        name = f"{self._prefix}.margin.constant.{len(self._graph.initializers)}"
        return new_constant(self._graph, name, np.asarray(number, dtype))


def _without_nan(margin: Margin | None) -> Margin | None:
    return None if margin is None else replace(margin, decides_nan=False)


def _is_decided(value: ir.Value) -> bool:
    """True for a binary value that is not known at compile time: no logit, and no threshold."""
    return constant(value) is None and is_binary(value)


def _attribute(node: ir.Node, name: str, default: int) -> int:
    attribute = node.attributes.get(name)
    return default if attribute is None else int(attribute.as_int())
