"""Fold what scales and shifts the channels of a convolution's output into its weights.

Before: x → `Conv` → `Mul`(scale) → `Add`(shift), constants for each channel or for all
After: x → `Conv` with scaled weights and a shifted bias
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from lascompile.frontend.rewire import new_constant


def fold_into_convs(graph: ir.Graph) -> None:
    """Fold as many operators behind each convolution of `graph` as there are."""
    for conv in [node for node in graph if node.op_type == "Conv" and node.domain == ""]:
        while (reader := _only_reader(conv)) is not None and (affine := _affine(conv, reader)) is not None:
            _scale(graph, conv, *affine)
            _skip(graph, reader, conv.outputs[0])


def _only_reader(conv: ir.Node) -> ir.Node | None:
    """The node that alone reads the output of `conv`; None too where the weights are not constants."""
    output = conv.outputs[0]
    readers = [use.node for use in output.uses()]
    known = all(value is None or value.const_value is not None for value in conv.inputs[1:])
    return readers[0] if len(readers) == 1 and known and not output.is_graph_output() else None


def _affine(conv: ir.Node, node: ir.Node) -> tuple[np.ndarray, np.ndarray] | None:
    """The scale and the shift of each channel [C], float64, that `node` applies; None if it does not."""
    if node.op_type not in ("Mul", "Add", "Sub", "Div") or node.domain != "":
        return None
    is_first = node.inputs[0] is conv.outputs[0]
    other = _per_channel(node.inputs[1 if is_first else 0], conv)
    if other is None:
        return None
    zero, one = np.zeros_like(other), np.ones_like(other)
    if node.op_type == "Mul":
        return other, zero
    if node.op_type == "Add":
        return one, other
    if node.op_type == "Sub":
        return (one, -other) if is_first else (-one, other)
    return (one / other, zero) if is_first and other.all() else None


def _per_channel(value: ir.Value | None, conv: ir.Node) -> np.ndarray | None:
    """The constant of each output channel [C], float64, if `value` is one number or one for each channel."""
    if value is None or value.const_value is None:
        return None
    channels, rank = _array(conv.inputs[1]).shape[0], _array(conv.inputs[1]).ndim
    array = value.const_value.numpy()
    dims = (1,) * (rank - array.ndim) + array.shape
    if len(dims) != rank or dims[1] not in (1, channels) or any(dim != 1 for dim in (dims[0], *dims[2:])):
        return None
    return np.broadcast_to(array.reshape(-1).astype(np.float64), (channels,))


def _scale(graph: ir.Graph, conv: ir.Node, scale: np.ndarray, shift: np.ndarray) -> None:
    weight = _array(conv.inputs[1])
    has_bias = len(conv.inputs) > 2 and conv.inputs[2] is not None
    bias = _array(conv.inputs[2]).astype(np.float64) if has_bias else np.zeros(1)
    scaled = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    _set_constant(graph, conv, 1, scaled.astype(np.float32), "weight")
    _set_constant(graph, conv, 2, (bias * scale + shift).astype(np.float32), "bias")


def _array(value: ir.Value | None) -> np.ndarray:
    assert value is not None and value.const_value is not None
    return value.const_value.numpy()


def _set_constant(graph: ir.Graph, conv: ir.Node, position: int, array: np.ndarray, name: str) -> None:
    """Give one input of `conv` a new value; an initialiser that nothing else reads keeps its name."""
    old = conv.inputs[position] if len(conv.inputs) > position else None
    if old is not None and len(old.uses()) == 1 and not old.is_graph_output():
        old.const_value = ir.tensor(array, name=old.name)
        return
    conv.resize_inputs(max(len(conv.inputs), position + 1))
    conv.replace_input_with(position, new_constant(graph, f"{conv.outputs[0].name}.{name}", array))


def _skip(graph: ir.Graph, node: ir.Node, source: ir.Value) -> None:
    """Let the readers of `node` read `source`, which takes over its name at an output of the model."""
    output = node.outputs[0]
    if output.is_graph_output():
        source.name, output.name = output.name, f"{output.name}.unfolded"
    ir.convenience.replace_all_uses_with(output, source, replace_graph_outputs=True)
    graph.remove(node, safe=True)
