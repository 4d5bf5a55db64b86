"""What an operator is, and whether it only moves elements."""

from __future__ import annotations

import onnx_ir as ir

# Outputs hold elements of the first input and nothing else, so they keep what is true of every element.
MOVES = {
    "Cast",
    "Identity",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Expand",
    "Tile",
    "Gather",
    "GatherND",
    "Slice",
    "Resize",
}


def operator(node: ir.Node) -> str:
    """The ONNX operator of `node`; of another domain `domain::operator`, which no rule fits."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"


def constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The value's tensor, if it is known at compile time."""
    return None if value is None else value.const_value


def copies_elements(node: ir.Node) -> bool:
    """True if every output element is a copy of some element of the first input."""
    if operator(node) != "Resize":
        return operator(node) in MOVES
    mode = node.attributes.get_string("mode", "nearest")
    extrapolates = node.attributes.get_string("coordinate_transformation_mode") == "tf_crop_and_resize"
    return mode == "nearest" and not extrapolates


def moves_elements(node: ir.Node) -> bool:
    """True if `node` copies elements and which goes where is known at compile time."""
    return copies_elements(node) and all(value is None or constant(value) is not None for value in node.inputs[1:])
