"""Lower poolings, and means over the whole map."""

from __future__ import annotations

import onnx_ir as ir

from lascompile.analysis.rules.convolution import window_of
from lascompile.lower.context import Context, is_row_matrix, shape4
from lascompile.sites.domain import window_shape
from lascompile.workload import PoolWorkload, WindowShape

_GLOBAL = {"GlobalAveragePool": "average", "GlobalMaxPool": "max", "ReduceMean": "average"}
_WINDOWED = {"AveragePool": "average", "MaxPool": "max"}


def is_row_pooling(node: ir.Node) -> bool:
    """True for a pooling that has a kernel over rows."""
    source = node.inputs[0] if node.inputs else None
    if not is_row_matrix(source) or source is None or len(source.shape or ()) != 4:
        return False
    if node.op_type == "ReduceMean":
        return _reduces_the_map(node)
    if node.op_type in _WINDOWED:
        return _is_plain(node)
    return node.op_type in _GLOBAL


def _is_plain(node: ir.Node) -> bool:
    """No indices asked for, and no averages whose divisor depends on rounding up or on dilation."""
    if len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        return False
    if node.op_type == "MaxPool":
        return True
    window = window_of(node)
    rounds_up = _integer(node, "ceil_mode", 0) and _integer(node, "count_include_pad", 0)
    return window is not None and window.dilation == (1, 1) and not rounds_up


def _reduces_the_map(node: ir.Node) -> bool:
    if "axes" in node.attributes:
        axes = list(node.attributes["axes"].as_ints())
    else:
        value = node.inputs[1] if len(node.inputs) > 1 else None
        axes = value.const_value.numpy().tolist() if value is not None and value.const_value is not None else []
    return sorted(axis % 4 for axis in axes) == [2, 3]


def _integer(node: ir.Node, name: str, default: int) -> int:
    return node.attributes[name].as_int() if name in node.attributes else default


def lower_pooling(context: Context, node: ir.Node) -> None:
    """Emit the kernel of a pooling; a mean that drops its axes is stored as a map of one pixel all the same."""
    source, output = node.inputs[0], node.outputs[0]
    assert source is not None
    batch, channels, height, width = shape4(source)
    if node.op_type in _GLOBAL:
        kind, counts_padding = _GLOBAL[node.op_type], False
        shape = WindowShape(batch, (height, width), (1, 1), (0, 0), (1, 1), (height, width), (1, 1))
    else:
        window = window_of(node)
        assert window is not None
        kind, counts_padding = _WINDOWED[node.op_type], bool(_integer(node, "count_include_pad", 0))
        shape = window_shape(window, batch)
    target = context.new_rows(output)
    workload = PoolWorkload(kind, shape, channels, counts_padding)
    context.run(workload, [context.rows_of(source), target], [target], str(node.name))
    context.rows[output] = target
