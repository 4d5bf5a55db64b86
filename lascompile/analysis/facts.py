"""Facts about the elements of a value that hold for any input: is it 0 or 1, is it never negative?"""

from __future__ import annotations

import onnx_ir as ir

# Outputs are 0 or 1 whatever goes in.
_DECIDES = {"Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "Not", "And", "Or", "Xor", "IsNaN", "IsInf"}
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
    "Upsample",
}
_NONNEGATIVE = {"Relu", "Sigmoid", "Softmax", "HardSigmoid", "Abs", "Exp", "ReduceL1", "ReduceL2", "Softplus"}
_KEEPS_NONNEGATIVE = {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "Mul"}


def constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The value's tensor, if it is known at compile time."""
    return None if value is None else value.const_value


def moves_elements(node: ir.Node) -> bool:
    """True if every output element is a copy of one element of the first input."""
    if node.op_type in ("Resize", "Upsample"):
        mode = node.attributes.get("mode")
        nearest = mode is None or mode.as_string() == "nearest"
        extrapolates = "coordinate_transformation_mode" in node.attributes and (
            node.attributes["coordinate_transformation_mode"].as_string() == "tf_crop_and_resize"
        )
        return nearest and not extrapolates
    return node.op_type in MOVES


def is_binary(value: ir.Value | None) -> bool:
    """True if each element of `value` is provably 0 or 1 (or False or True)."""
    if value is None:
        return False
    known = constant(value)
    if known is not None:
        array = known.numpy()
        return bool(((array == 0) | (array == 1)).all())
    node = value.producer()
    if node is None:
        return value.dtype == ir.DataType.BOOL
    if value.dtype == ir.DataType.BOOL or node.op_type in _DECIDES:
        return True
    if moves_elements(node):
        return is_binary(node.inputs[0])
    return _is_binary_arithmetic(node)


def _is_binary_arithmetic(node: ir.Node) -> bool:
    if node.op_type in ("ArgMax", "ArgMin"):
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
        shape = node.inputs[0].shape if node.inputs[0] is not None else None
        return shape is not None and shape[axis] == 2
    if node.op_type == "Mul":
        return is_binary(node.inputs[0]) and is_binary(node.inputs[1])
    if node.op_type == "Sub":  # 1 - mask
        minuend = constant(node.inputs[0])
        return minuend is not None and bool((minuend.numpy() == 1).all()) and is_binary(node.inputs[1])
    if node.op_type == "Where":
        return is_binary(node.inputs[1]) and is_binary(node.inputs[2])
    if node.op_type in ("Round", "Ceil", "Floor"):
        producer = node.inputs[0].producer() if node.inputs[0] is not None else None
        return producer is not None and producer.op_type in ("Sigmoid", "HardSigmoid")
    return False


def is_nonnegative(value: ir.Value | None) -> bool:
    """True if no element of `value` is provably below zero; NaN is allowed."""
    if value is None:
        return False
    known = constant(value)
    if known is not None:
        return bool((known.numpy() >= 0).all())
    node = value.producer()
    if node is None:
        return False
    if node.op_type in _NONNEGATIVE or is_binary(value):
        return True
    if node.op_type == "Clip":
        low = constant(node.inputs[1] if len(node.inputs) > 1 else None)
        return low is not None and bool(low.numpy() >= 0)
    if moves_elements(node) or node.op_type in _KEEPS_NONNEGATIVE - {"Mul"}:
        return is_nonnegative(node.inputs[0])
    if node.op_type in ("Add", "Mul"):
        return is_nonnegative(node.inputs[0]) and is_nonnegative(node.inputs[1])
    return False
