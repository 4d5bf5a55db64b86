"""A node that moves elements of its first input, by a table that is made by moving their numbers.

Before: Resize to the nearest pixel, Slice, Pad, Tile, Transpose, DepthToSpace, …, whatever their attributes
After: out[i] = in[table[i]], or what Pad fills with, one kernel

onnxruntime itself moves the numbers, so that no rule of an operator is written here a second time.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from lascompile.lower.context import Context
from lascompile.lower.delegated.translate import as_model
from lascompile.silent_onnxruntime import onnxruntime
from lascompile.workload import MoveWorkload

_MOVES = frozenset(
    "CenterCropPad DepthToSpace Expand Flatten Gather GatherElements GatherND Identity Pad Reshape Resize "
    "ReverseSequence Slice SpaceToDepth Squeeze Tile Transpose Trilu Unsqueeze Upsample".split()
)
_LARGEST_INT = 1 << 24
"""Whole numbers up to here are float32 without rounding."""


def is_move(node: ir.Node) -> bool:
    """Whether `node` may be a table: it has one output, and all its inputs but the first are known."""
    known = all(value is None or value.const_value is not None for value in node.inputs[1:])
    has_data = bool(node.inputs) and node.inputs[0] is not None and node.inputs[0].const_value is None
    return node.op_type in _MOVES and known and has_data and len(node.outputs) == 1 and _is_plain(node)


def has_computed_indices(node: ir.Node) -> bool:
    """Whether the indices of `node` come from arithmetic on float32."""
    return node.op_type in ("Resize", "Upsample")


def lower_move(context: Context, node: ir.Node) -> bool:
    """Emit the kernel of `node`; False if it is none that moves elements."""
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None
    moved = _moved(node, source, output)
    if moved is None or not moved[0].size:
        return False
    table, fill = moved
    read, written = context.plain_of(source), context.new_plain(output)
    inputs, outputs = int(np.prod(read.shape)), int(np.prod(written.shape))
    arguments = [
        read.view((inputs,)),
        context.constant("move_table", table),
        context.constant("move_fill", fill),
        written.view((outputs,)),
    ]
    workload = MoveWorkload(inputs, outputs, read.dtype)
    context.run(workload, arguments, [written], str(node.name))
    context.plain[output] = written
    return True


def _is_plain(node: ir.Node) -> bool:
    """Resize interpolates but for the nearest pixel, and may have other values outside."""
    if node.op_type not in ("Resize", "Upsample"):
        return True
    mode = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    return node.attributes.get_string("mode", "nearest") == "nearest" and mode != "tf_crop_and_resize"


def _moved(node: ir.Node, source: ir.Value, output: ir.Value) -> tuple[np.ndarray, np.ndarray] | None:
    """For each output element the number of the input's that it is, -1 for none, and what stands there; or None."""
    assert source.shape is not None and source.dtype is not None
    shape = source.shape.numpy()
    size = int(np.prod(shape, dtype=np.int64))
    if size >= _LARGEST_INT:
        return None
    model = as_model([node], [source], [output], rewrites=False)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(int(source.dtype))
    session = _session(_of_floats(model, source) if dtype != np.float32 else model)
    numbers = np.arange(1, size + 1, dtype=np.float32).reshape(shape)
    first, second = (session.run(None, {model.graph.input[0].name: given})[0] for given in (numbers, numbers + size))
    flat, later = first.reshape(-1), second.reshape(-1)
    is_moved = later == flat + size
    whole = np.round(flat[is_moved])
    if not np.array_equal(whole, flat[is_moved]) or (whole < 1).any() or (whole > size).any():
        return None
    if not np.array_equal(flat[~is_moved], later[~is_moved]):
        return None
    fills = np.unique(flat[~is_moved])
    if fills.size > 1:
        return None
    table = np.full(flat.size, -1, np.int32)
    table[is_moved] = whole.astype(np.int32) - 1
    return table, np.array([fills[0] if fills.size else 0], dtype)


def _of_floats(model: onnx.ModelProto, source: ir.Value) -> onnx.ModelProto:
    """`model` with float32 data: what moves, moves alike."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for value in (changed.graph.input[0], changed.graph.output[0]):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    node = changed.graph.node[0]
    if node.op_type == "Pad" and len(node.input) > 2 and node.input[2]:
        for tensor in changed.graph.initializer:
            if tensor.name == node.input[2]:
                tensor.CopyFrom(
                    onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float32), tensor.name)
                )
    return changed


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
