"""Change a graph in place: other readers, new constants."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir


def replace_readers(graph: ir.Graph, value: ir.Value, source: ir.Value, output_name: str) -> None:
    """Before: value → readers. After: source → readers.

    Where `value` is an output of the graph, that output keeps its place and gets `output_name`.
    """
    for position, output in enumerate(graph.outputs):
        if output is value:
            # A copy, since one value may not be two outputs, nor an input and an output.
            node = ir.node("Identity", [source], name=f"{output_name}.output")
            copy = node.outputs[0]
            copy.name, copy.shape, copy.type = output_name, value.shape, value.type
            graph.append(node)
            graph.outputs[position] = copy
    ir.convenience.replace_all_uses_with(value, source)


def new_constant(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    """Add `array` to the initialisers of `graph` as `name`."""
    tensor = ir.tensor(array, name=name)
    value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value
