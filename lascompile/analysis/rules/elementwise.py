"""Element-wise operators: an output pixel needs the same pixel of each feature map that goes in."""

from __future__ import annotations

import onnx_ir as ir

from lascompile.analysis.demand import Demand, everywhere

UNARY = (
    "Relu",
    "Clip",
    "LeakyRelu",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Tanh",
    "Elu",
    "Identity",
    "Neg",
    "Abs",
)
BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min")
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
        return [everywhere(node)] * len(node.inputs)
    return [output if operand_kind(value, node.outputs[0]) == "map" else everywhere(node) for value in node.inputs]
