"""Element-wise operators: an output pixel needs the same pixel of each feature map that goes in."""

from __future__ import annotations

import onnx_ir as ir

from lascompile.analysis.demand import Demand
from lascompile.analysis.operators import operator

UNARY = (
    "Relu",
    "Clip",
    "LeakyRelu",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Tanh",
    "Elu",
    "Selu",
    "Softplus",
    "Softsign",
    "Erf",
    "Identity",
    "Neg",
    "Abs",
)
BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu")
OPERATORS = (*UNARY, *BINARY)


def operand_kind(value: ir.Value | None, output: ir.Value) -> str | None:
    """How an operand meets an output [N, C, H, W], pixel by pixel.

    Returns:
        "map" (the output's shape), "image" (a computed [N, C, 1, 1]), "channel" (a constant per channel),
        "scalar" (a constant), or None for what is not compiled pixel by pixel.
    """
    if value is None or value.shape is None or output.shape is None or len(output.shape) != 4:
        return None
    batch, channels = output.shape[0], output.shape[1]
    if value.shape == output.shape and value.const_value is None:
        return "map"
    if value.const_value is None:
        return "image" if tuple(value.shape) == (batch, channels, 1, 1) else None
    dims = (1,) * (4 - len(value.shape)) + tuple(value.shape)
    if all(dim == 1 for dim in dims):
        return "scalar"
    return "channel" if dims == (1, channels, 1, 1) else None


def is_per_pixel(node: ir.Node) -> bool:
    """True if `node` computes each pixel of a feature map from the same pixel of its inputs alone."""
    output = node.outputs[0]
    if output.dtype not in (ir.DataType.FLOAT, None):
        return False
    if node.op_type in UNARY:
        return operand_kind(node.inputs[0], output) == "map" and all(
            value is None or value.const_value is not None for value in node.inputs[1:]
        )
    kinds = [operand_kind(value, output) for value in node.inputs]
    return node.op_type in BINARY and len(kinds) == 2 and None not in kinds and "map" in kinds


def demand_on_inputs(node: ir.Node, output: Demand) -> list[Demand]:
    """Inputs of the output's shape pass the demand on; broadcast ones are needed entirely."""
    if not is_per_pixel(node):
        return [_whole(node, value) for value in node.inputs]
    result = node.outputs[0]
    return [output if operand_kind(value, result) == "map" else _whole(node, value) for value in node.inputs]


def _whole(node: ir.Node, value: ir.Value | None) -> Demand:
    """Every pixel of an operand is needed, because of what its shape is, or that of another."""
    what, output = f"{operator(node)} {node.name}", node.outputs[0]
    if value is not None and value.shape != output.shape:
        return Demand(
            reason=f"{what} broadcasts it from {_shape(value)} to {_shape(output)}, which repeats its pixels",
            advice="expand it to the full shape before it is masked",
        )
    for other in node.inputs:
        if other is None or other is value or operand_kind(other, output) is not None:
            continue
        kind = "a constant" if other.const_value is not None else "a map"
        return Demand(
            reason=f"{what} takes {kind} of shape {_shape(other)} beside it, for which no kernel skips pixels",
            advice=f"expand {other.name} to {_shape(output)} by an operator, or make it one number a channel",
        )
    return Demand(
        reason=f"{what} is not computed pixel by pixel on a value of shape {_shape(output)}",
        advice="skipping needs float32 maps [N, C, H, W]; reshape behind the block",
    )


def _shape(value: ir.Value) -> str:
    return "an unknown shape" if value.shape is None else str(list(value.shape.numpy()))
