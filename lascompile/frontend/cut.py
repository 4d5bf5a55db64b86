"""A network taken apart at some of its values, so that each part can be run on its own.

Before: x → conv1 → Relu → v → conv2 → y
After: x → conv1 → Relu → v; «v.fed» → conv2 → y

What each part computes is then its own doing: no error of the parts before it comes in.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as ir_passes

from lascompile.analysis.ranges import Range, range_of
from lascompile.frontend.rewire import new_constant


def cut_at(model: ir.Model, names: Collection[str], outputs: Collection[str]) -> tuple[ir.Model, Mapping[str, str]]:
    """Let every reader of the values `names` read an input instead, and compute the values `outputs`.

    Args:
        model: Canonical, see `simplify`; stays as it is, and the new model shares its weights.
        names: Values to cut at.
        outputs: Values that the new model computes, in this order.

    Returns:
        The new model, without what none of the outputs needs; and by the name of each new input, the value that it
        stands for.
    """
    cut = model.clone()
    graph = cut.graph
    values = {str(value.name): value for node in graph for value in node.outputs}
    # Before anything is cut, since what is known of a value comes from all that stands before it.
    ranges = {name: range_of(values[name]) for name in names}
    given = {_feed(graph, values[name], ranges[name]): name for name in names}
    graph.outputs.clear()
    graph.outputs.extend(values[name] for name in outputs)
    ir_passes.RemoveUnusedNodesPass()(cut)
    for value in [value for value in graph.inputs if not value.uses() and not value.is_graph_output()]:
        graph.inputs.remove(value)
        given.pop(str(value.name), None)
    return cut, given


def _feed(graph: ir.Graph, value: ir.Value, known: Range) -> str:
    """Give the readers of `value` a new input; returns its name."""
    fed = ir.Value(name=f"{value.name}.fed", shape=value.shape, type=value.type)
    readers = list(value.uses())
    graph.inputs.append(fed)
    source = _bounded(graph, fed, known) if readers else fed
    for node, position in readers:
        node.replace_input_with(position, source)
    return str(fed.name)


def _bounded(graph: ir.Graph, fed: ir.Value, known: Range) -> ir.Value:
    """`fed`, clipped to the range that it lies in anyway, so that it is known again: as that of an activation."""
    if fed.dtype != ir.DataType.FLOAT or (math.isinf(known.low) and math.isinf(known.high)):
        return fed
    bounds = [
        None if math.isinf(bound) else new_constant(graph, f"{fed.name}.{end}", np.asarray(bound, np.float32))
        for end, bound in (("low", known.low), ("high", known.high))
    ]
    node = ir.node("Clip", [fed, *bounds], name=f"{fed.name}.clip")
    clipped = node.outputs[0]
    clipped.name, clipped.shape, clipped.type = f"{fed.name}.clipped", fed.shape, fed.type
    # First of all: readers stand anywhere behind it.
    graph.insert_before(graph[0], node)
    return clipped
