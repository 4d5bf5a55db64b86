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


def demand_on_inputs(node: ir.Node, output: Demand) -> list[Demand]:
    """Inputs of the output's shape pass the demand on; broadcast ones are needed entirely."""
    shape = node.outputs[0].shape
    return [
        output if value is not None and value.shape == shape else everywhere(node) for value in node.inputs
    ]
