"""Turn operators that change no bit of their operand into `Identity`, which constant folding then removes.

Before: x → `Mul`(1) → `Sub`(0) → `Dropout` in inference
After: x → `Identity` → `Identity` → `Identity`

Nothing is close enough: d + 1e-8 is what keeps a normalisation from dividing by zero.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

_COMMUTATIVE = {"Mul", "Add"}


def _is_negative_zero(array: np.ndarray) -> np.ndarray:
    """Of floats: -0.0 + 0.0 is 0.0, of which 1 / x has another sign, but -0.0 added to anything is no change."""
    return (array == 0) & (np.signbit(array) if array.dtype.kind == "f" else True)


def _is_positive_zero(array: np.ndarray) -> np.ndarray:
    return (array == 0) & ~np.signbit(array) if array.dtype.kind == "f" else array == 0


_NEUTRAL: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Mul": lambda array: array == 1,
    "Div": lambda array: array == 1,
    "Add": _is_negative_zero,
    "Sub": _is_positive_zero,
}


def replace_identities(graph: ir.Graph) -> None:
    """Rewrite every such operator of `graph` whose operand has the shape of its result."""
    for node in list(graph):
        if node.domain == "" and (kept := _operand_kept(node)) is not None:
            _replace(graph, node, kept)


def _operand_kept(node: ir.Node) -> ir.Value | None:
    """The operand that `node` returns as it is; None if it changes it, or broadcasts it."""
    if node.op_type not in _NEUTRAL or len(node.inputs) != 2:
        return None
    a, b = node.inputs
    orders = ((a, b), (b, a)) if node.op_type in _COMMUTATIVE else ((a, b),)
    for value, other in orders:
        known = None if other is None else other.const_value
        if value is None or known is None or known.dtype == ir.DataType.STRING:
            continue
        if _has_same_shape(value, node.outputs[0]) and _NEUTRAL[node.op_type](known.numpy()).all():
            return value
    return None


def _has_same_shape(value: ir.Value, output: ir.Value) -> bool:
    return value.shape is not None and value.shape.is_static() and value.shape == output.shape


def _replace(graph: ir.Graph, node: ir.Node, kept: ir.Value) -> None:
    identity = ir.node("Identity", [kept], name=node.name)
    output, old = identity.outputs[0], node.outputs[0]
    output.name, output.shape, output.type = old.name, old.shape, old.type
    ir.convenience.replace_nodes_and_values(graph, node, [node], [identity], [old], [output])
