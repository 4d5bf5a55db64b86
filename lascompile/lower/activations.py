"""ONNX's element-wise operators of one argument as activations of a kernel's epilogue."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from lascompile.workload import Activation

# Operator → (activation, its attributes with ONNX's defaults).
_BY_OPERATOR: dict[str, tuple[str, tuple[tuple[str, float], ...]]] = {
    "Relu": ("relu", ()),
    "LeakyRelu": ("leaky_relu", (("alpha", 0.01),)),
    "Sigmoid": ("sigmoid", ()),
    "HardSigmoid": ("hard_sigmoid", (("alpha", 0.2), ("beta", 0.5))),
    "HardSwish": ("hard_swish", ()),
    "Tanh": ("tanh", ()),
    "Elu": ("elu", (("alpha", 1.0),)),
    "Selu": ("selu", (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875))),
    "Softplus": ("softplus", ()),
    "Softsign": ("softsign", ()),
    "Erf": ("erf", ()),
    "Neg": ("neg", ()),
    "Abs": ("abs", ()),
}
_LARGEST = 3.4028234663852886e38


def as_activations(nodes: Sequence[ir.Node]) -> tuple[Activation, ...]:
    """The activations of `nodes`, identities left out."""
    return tuple(_as_activation(node) for node in nodes if node.op_type != "Identity")


def _as_activation(node: ir.Node) -> Activation:
    if node.op_type == "Clip":
        low, high = (_bound(node, position) for position in (1, 2))
        return ("clip", -_LARGEST if low is None else low, _LARGEST if high is None else high)
    name, attributes = _BY_OPERATOR[node.op_type]
    values = [node.attributes[key].as_float() if key in node.attributes else default for key, default in attributes]
    return (name, *values)


def _bound(node: ir.Node, position: int) -> float | None:
    value = node.inputs[position] if len(node.inputs) > position else None
    if value is None or value.const_value is None:
        return None
    return float(value.const_value.numpy())
