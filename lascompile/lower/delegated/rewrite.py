"""Operators written in terms of others that TVM translates as onnxruntime computes them.

Before: `Relu`(x), which TVM computes as the larger of x and 0, so that NaN is lost
After: `Where`(x < 0, 0, x), where NaN fails the comparison and passes

Before: `Gather`(x, known scalar), which TVM guards by a check of bounds at run time
After: `Squeeze`(`Slice`(x))

Before: `Pow`(x, known integer), which TVM refuses for its two element types
After: `Pow`(x, known float)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import onnx
import onnx_ir as ir

_LARGEST = float(np.finfo(np.float32).max)


@dataclass
class _Nodes:
    """Nodes that replace one, whose values are called after its output `name`."""

    name: str
    protos: list[onnx.NodeProto] = field(default_factory=list)

    def add(self, operator: str, *inputs: str) -> str:
        """A node; returns the name of its output."""
        output = f"{self.name}_{len(self.protos)}"
        self.protos.append(onnx.helper.make_node(operator, inputs, [output]))
        return output

    def again(self, node: ir.Node, operator: str, *inputs: str) -> str:
        """`operator` with the attributes of `node`; returns the name of its output."""
        proto = ir.to_proto(node)
        proto.name, proto.op_type = "", operator
        output = f"{self.name}_{len(self.protos)}"
        del proto.input[:], proto.output[:]
        proto.input.extend(inputs)
        proto.output.append(output)
        self.protos.append(proto)
        return output

    def constant(self, value: object, dtype: type = np.float32) -> str:
        """A constant; returns its name."""
        tensor = onnx.numpy_helper.from_array(np.array(value, dtype))
        output = self.add("Constant")
        self.protos[-1].attribute.append(onnx.helper.make_attribute("value", tensor))
        return output


# Writes what a node computes from the named inputs (empty where left out) with other nodes; returns the result's name.
_Rewrite = Callable[[_Nodes, Sequence[str], ir.Node], str]


def rewritten(node: ir.Node, inputs: Sequence[str], outputs: Sequence[str]) -> list[onnx.NodeProto]:
    """`node` under new names of its inputs and outputs, or the nodes that stand for it."""
    rewrite = _REWRITES.get(node.op_type) if _is_float(node) else None
    if node.op_type == "Gather" and _scalar_index(node) is not None:
        rewrite = _slice_and_squeeze
    if rewrite is None:
        proto = ir.to_proto(node)
        proto.name = ""
        del proto.input[:], proto.output[:]
        proto.input.extend(inputs)
        proto.output.extend(outputs)
        return [proto]
    nodes = _Nodes(outputs[0])
    result = rewrite(nodes, inputs, node)
    return [*nodes.protos, onnx.helper.make_node("Identity", [result], [outputs[0]])]


def _is_float(node: ir.Node) -> bool:
    return node.inputs[0] is not None and node.inputs[0].dtype == ir.DataType.FLOAT


def _scalar_index(node: ir.Node) -> int | None:
    known = node.inputs[1].const_value if node.inputs[1] is not None else None
    return None if known is None or known.numpy().ndim else int(known.numpy())


def _slice_and_squeeze(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    index = _scalar_index(node)
    assert index is not None
    end = index + 1 or np.iinfo(np.int64).max
    axis = nodes.constant([node.attributes.get_int("axis", 0)], np.int64)
    cut = nodes.add("Slice", inputs[0], nodes.constant([index], np.int64), nodes.constant([end], np.int64), axis)
    return nodes.add("Squeeze", cut, axis)


def _pow(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    known = node.inputs[1].const_value if node.inputs[1] is not None else None
    return nodes.add("Pow", inputs[0], inputs[1] if known is None else nodes.constant(known.numpy()))


def _relu(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    return _at_least(nodes, inputs[0], nodes.constant(0))


def _clip(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    low, high = (*inputs[1:], "", "")[:2]
    raised = _at_least(nodes, inputs[0], low or nodes.constant(-_LARGEST))
    return _at_most(nodes, raised, high or nodes.constant(_LARGEST))


def _hard_sigmoid(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    alpha = nodes.constant(node.attributes.get_float("alpha", 0.2))
    beta = nodes.constant(node.attributes.get_float("beta", 0.5))
    line = nodes.add("Add", nodes.add("Mul", inputs[0], alpha), beta)
    return _at_most(nodes, _at_least(nodes, line, nodes.constant(0)), nodes.constant(1))


def _elu(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    return _exponential_below_zero(nodes, inputs[0], node.attributes.get_float("alpha", 1.0))


def _selu(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    alpha = node.attributes.get_float("alpha", 1.6732631921768188)
    gamma = nodes.constant(node.attributes.get_float("gamma", 1.0507010221481323))
    return nodes.add("Mul", gamma, _exponential_below_zero(nodes, inputs[0], alpha))


def _exponential_below_zero(nodes: _Nodes, x: str, alpha: float) -> str:
    below = nodes.add("Mul", nodes.constant(alpha), nodes.add("Sub", nodes.add("Exp", x), nodes.constant(1)))
    return nodes.add("Where", nodes.add("Less", x, nodes.constant(0)), below, x)


def _is_inf(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    (x,), zero = inputs, nodes.constant(0)
    infinite = nodes.add("IsInf", x)
    for attribute, side in (("detect_positive", "Less"), ("detect_negative", "Greater")):
        if not node.attributes.get_int(attribute, 1):
            infinite = nodes.add("And", infinite, nodes.add(side, x, zero))
    return infinite


def _reduce_max(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    return _reduced(nodes, inputs, node, -np.inf)


def _reduce_min(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    return _reduced(nodes, inputs, node, np.inf)


def _reduced(nodes: _Nodes, inputs: Sequence[str], node: ir.Node, infinity: float) -> str:
    """The reduction, but an infinity where there is nothing else: TVM begins with the largest finite number."""
    others = nodes.add("Not", nodes.add("Equal", inputs[0], nodes.constant(infinity)))
    one, zero = nodes.constant(1), nodes.constant(0)
    any_other = nodes.again(node, "ReduceMax", nodes.add("Where", others, one, zero), *inputs[1:])
    reduced = nodes.again(node, node.op_type, *inputs)
    return nodes.add("Where", nodes.add("Greater", any_other, zero), reduced, nodes.constant(infinity))


def _arg(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    """The index, but the first one, or the last if that is asked for, where TVM finds none: of infinities alone."""
    place = nodes.again(node, node.op_type, *inputs)
    source = node.inputs[0]
    assert source is not None and source.shape is not None
    length = int(source.shape.numpy()[node.attributes.get_int("axis", 0)])
    otherwise = length - 1 if node.attributes.get_int("select_last_index", 0) else 0
    below = nodes.add("Less", place, nodes.constant(0, np.int64))
    beyond = nodes.add("Greater", place, nodes.constant(length - 1, np.int64))
    return nodes.add("Where", nodes.add("Or", below, beyond), nodes.constant(otherwise, np.int64), place)


def _thresholded_relu(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    (x,), alpha = inputs, nodes.constant(node.attributes.get_float("alpha", 1.0))
    return nodes.add("Where", nodes.add("Greater", x, alpha), x, nodes.constant(0))


def _sign(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    (x,), zero = inputs, nodes.constant(0)
    below = nodes.add("Where", nodes.add("Less", x, zero), nodes.constant(-1), x)
    return nodes.add("Where", nodes.add("Greater", x, zero), nodes.constant(1), below)


def _max(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    return reduce(lambda a, b: _either(nodes, a, b, nodes.add("Less", a, b)), inputs)


def _min(nodes: _Nodes, inputs: Sequence[str], node: ir.Node) -> str:
    return reduce(lambda a, b: _either(nodes, a, b, nodes.add("Greater", a, b)), inputs)


def _either(nodes: _Nodes, a: str, b: str, takes_b: str) -> str:
    """`b` where it is NaN or `takes_b` holds, else `a`, NaN included."""
    return nodes.add("Where", nodes.add("Or", nodes.add("IsNaN", b), takes_b), b, a)


def _at_least(nodes: _Nodes, x: str, low: str) -> str:
    return nodes.add("Where", nodes.add("Less", x, low), low, x)


def _at_most(nodes: _Nodes, x: str, high: str) -> str:
    return nodes.add("Where", nodes.add("Greater", x, high), high, x)


_REWRITES: dict[str, _Rewrite] = {
    "ArgMax": _arg,
    "ArgMin": _arg,
    "Clip": _clip,
    "Elu": _elu,
    "HardSigmoid": _hard_sigmoid,
    "IsInf": _is_inf,
    "Max": _max,
    "Min": _min,
    "Pow": _pow,
    "ReduceMax": _reduce_max,
    "ReduceMin": _reduce_min,
    "Relu": _relu,
    "Selu": _selu,
    "Sign": _sign,
    "ThresholdedRelu": _thresholded_relu,
}
"""By ONNX operator, for float32."""
