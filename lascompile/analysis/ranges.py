"""Between which numbers do the elements of a value lie, whatever the input?

Found from the operators before it as interval arithmetic does (Moore, Interval Analysis, 1966), together with
whether every element is a whole number. A NaN is in every range: it is what each of these operators but a
comparison makes of a NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from lascompile.analysis.operators import MOVES, constant, copies_elements, operator


@dataclass(frozen=True)
class Range:
    """What the elements of a value can be.

    Attributes:
        low: No element is below it.
        high: No element is above it.
        whole: Every element is a whole number.
    """

    low: float = -math.inf
    high: float = math.inf
    whole: bool = False

    def __or__(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high), self.whole and other.whole)


ANYTHING = Range()
_TRUTH = Range(0, 1, whole=True)
_SHARE = Range(0, 1)
_NONNEGATIVE = Range(low=0)

# A range rule answers, for a node and the ranges of its inputs, the range of its output.
RangeRule = Callable[[ir.Node, list[Range]], Range]


def range_of(value: ir.Value | None) -> Range:
    """The narrowest range that the operators before `value` prove."""
    if value is None:
        return ANYTHING
    ranges: dict[ir.Value, Range] = {}
    pending = [value]
    while pending:  # not by recursion, which a deep network would exhaust
        current = pending[-1]
        unknown = [needed for needed in _needs(current) if needed not in ranges]
        if unknown:
            pending += unknown
            continue
        ranges[pending.pop()] = _range(current, ranges)
    return ranges[value]


def _needs(value: ir.Value) -> Iterable[ir.Value]:
    """The values whose ranges decide the range of `value`."""
    node = value.producer()
    if node is None or constant(value) is not None or operator(node) not in _RULES:
        return ()
    return [needed for needed in node.inputs if needed is not None]


def _range(value: ir.Value, ranges: dict[ir.Value, Range]) -> Range:
    known = constant(value)
    if known is not None:
        return _range_of_array(known.numpy())
    if value.dtype == ir.DataType.BOOL:
        return _TRUTH
    node = value.producer()
    rule = _RULES.get(operator(node)) if node is not None and len(node.outputs) == 1 else None
    if node is None or rule is None:
        return ANYTHING
    return rule(node, [ANYTHING if needed is None else ranges[needed] for needed in node.inputs])


def _range_of_array(array: np.ndarray) -> Range:
    if array.dtype.kind not in "biuf" or array.size == 0:
        return ANYTHING
    whole = array.dtype.kind != "f" or bool((array == np.trunc(array)).all() and np.isfinite(array).all())
    if np.isnan(array).all():
        return ANYTHING
    return Range(float(np.nanmin(array)), float(np.nanmax(array)), whole)


def _always(known: Range) -> RangeRule:
    return lambda node, inputs: known


def _of_first(node: ir.Node, inputs: list[Range]) -> Range:
    return inputs[0]


def _cast(node: ir.Node, inputs: list[Range]) -> Range:
    kept = inputs[0]
    dtype = ir.DataType(node.attributes.get_int("to", 0))
    if dtype == ir.DataType.BOOL:
        return _TRUTH
    if dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE):
        return kept
    # Other types may wrap around or lose digits; small whole numbers fit all of them.
    return kept if kept.whole and 0 <= kept.low and kept.high <= 1 else ANYTHING


def _copied(node: ir.Node, inputs: list[Range]) -> Range:
    return inputs[0] if copies_elements(node) else ANYTHING


def _union(node: ir.Node, inputs: list[Range]) -> Range:
    total = inputs[0]
    for known in inputs[1:]:
        total |= known
    return total


def _where(node: ir.Node, inputs: list[Range]) -> Range:
    return inputs[1] | inputs[2]


def _add(node: ir.Node, inputs: list[Range]) -> Range:
    a, b = inputs
    return Range(a.low + b.low, a.high + b.high, a.whole and b.whole)


def _sub(node: ir.Node, inputs: list[Range]) -> Range:
    return _add(node, [inputs[0], _neg(node, inputs[1:])])


def _neg(node: ir.Node, inputs: list[Range]) -> Range:
    return Range(-inputs[0].high, -inputs[0].low, inputs[0].whole)


def _mul(node: ir.Node, inputs: list[Range]) -> Range:
    a, b = inputs
    # 0 * inf bounds a product of finite numbers, hence 0.
    products = [0.0 if 0 in (x, y) else x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    return Range(min(products), max(products), a.whole and b.whole)


def _max(node: ir.Node, inputs: list[Range]) -> Range:
    whole = all(known.whole for known in inputs)
    return Range(max(known.low for known in inputs), max(known.high for known in inputs), whole)


def _min(node: ir.Node, inputs: list[Range]) -> Range:
    whole = all(known.whole for known in inputs)
    return Range(min(known.low for known in inputs), min(known.high for known in inputs), whole)


def _relu(node: ir.Node, inputs: list[Range]) -> Range:
    return _max(node, [inputs[0], Range(0, 0, whole=True)])


def _clip(node: ir.Node, inputs: list[Range]) -> Range:
    low, high = ([*inputs[1:], ANYTHING, ANYTHING])[:2]
    if len(node.inputs) > 1 and node.inputs[1] is None:
        low = ANYTHING
    raised = Range(max(inputs[0].low, low.low), max(inputs[0].high, low.low), inputs[0].whole)
    return Range(min(raised.low, high.high), min(raised.high, high.high), raised.whole and _whole_bounds(node))


def _whole_bounds(node: ir.Node) -> bool:
    """True if no bound of a Clip can put a fraction in."""
    bounds = [constant(value) for value in node.inputs[1:] if value is not None]
    return all(bound is not None and _range_of_array(bound.numpy()).whole for bound in bounds)


def _rounded(function: Callable[[float], float]) -> RangeRule:
    def rule(node: ir.Node, inputs: list[Range]) -> Range:
        low, high = (x if math.isinf(x) else float(function(x)) for x in (inputs[0].low, inputs[0].high))
        return Range(low, high, whole=True)

    return rule


def _abs(node: ir.Node, inputs: list[Range]) -> Range:
    known = inputs[0]
    reach = max(abs(known.low), abs(known.high))
    return Range(max(known.low, -known.high, 0), reach, known.whole)


def _sign(node: ir.Node, inputs: list[Range]) -> Range:
    return Range(-1 if inputs[0].low < 0 else 0, 1 if inputs[0].high > 0 else 0, whole=True)


def _choice(node: ir.Node, inputs: list[Range]) -> Range:
    """ArgMax and ArgMin answer a position on their axis."""
    value = node.inputs[0]
    size = value.shape[node.attributes.get_int("axis", 0)] if value is not None and value.shape is not None else None
    return Range(0, size - 1, whole=True) if isinstance(size, int) else Range(low=0, whole=True)


def _average(node: ir.Node, inputs: list[Range]) -> Range:
    """A mean lies between its terms, one of which may be a zero of the padding."""
    return Range(min(inputs[0].low, 0), max(inputs[0].high, 0))


def _padded(node: ir.Node, inputs: list[Range]) -> Range:
    constant_mode = node.attributes.get_string("mode", "constant") == "constant"
    default = Range(0, 0, whole=True)
    border = inputs[2] if len(inputs) > 2 and node.inputs[2] is not None else default
    return inputs[0] | border if constant_mode else inputs[0]


def _one_hot(node: ir.Node, inputs: list[Range]) -> Range:
    return inputs[2]


def _scatter(node: ir.Node, inputs: list[Range]) -> Range:
    replaces = node.attributes.get_string("reduction", "none") == "none"
    return inputs[0] | inputs[2] if replaces else ANYTHING


_RULES: dict[str, RangeRule] = {
    **dict.fromkeys(
        (
            "Greater",
            "GreaterOrEqual",
            "Less",
            "LessOrEqual",
            "Equal",
            "Not",
            "And",
            "Or",
            "Xor",
            "IsNaN",
            "IsInf",
        ),
        _always(_TRUTH),
    ),
    **dict.fromkeys(MOVES - {"Cast"}, _copied),
    **dict.fromkeys(("Sigmoid", "HardSigmoid", "Softmax"), _always(_SHARE)),
    **dict.fromkeys(("Exp", "Softplus", "ReduceL1", "ReduceL2", "Sqrt"), _always(_NONNEGATIVE)),
    **dict.fromkeys(("MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin"), _of_first),
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "ReduceMean"), _average),
    "Abs": _abs,
    "Add": _add,
    "ArgMax": _choice,
    "ArgMin": _choice,
    "Cast": _cast,
    "Ceil": _rounded(math.ceil),
    "Clip": _clip,
    "Concat": _union,
    "Floor": _rounded(math.floor),
    "Hardmax": _always(_TRUTH),
    "Max": _max,
    "Min": _min,
    "Mul": _mul,
    "Neg": _neg,
    "OneHot": _one_hot,
    "Pad": _padded,
    "Relu": _relu,
    "Round": _rounded(round),
    "ScatterElements": _scatter,
    "Sign": _sign,
    "Sub": _sub,
    "Tanh": _always(Range(-1, 1)),
    "Where": _where,
}
