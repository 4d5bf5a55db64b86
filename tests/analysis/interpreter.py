"""Run an ONNX graph node by node on onnxruntime, to look at every value, or to change it on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

from lascompile.analysis.facts import constant

Alter = Callable[[ir.Value, np.ndarray], np.ndarray]


def evaluate(
    graph: ir.Graph, inputs: Mapping[str, np.ndarray], alter: Alter = lambda value, array: array
) -> dict[ir.Value, np.ndarray]:
    """Every value of `graph` (the empty name excepted); `alter` may replace each before its readers see it."""
    known = {value: inputs[str(value.name)] for value in graph.inputs}
    for node in graph:
        needed = [value for value in node.inputs if value is not None]
        arrays = {value: known[value] if value in known else tensor_of(value) for value in needed}
        for value, array in zip(node.outputs, run_node(node, arrays), strict=True):
            known[value] = alter(value, array)
    return known


def run_node(node: ir.Node, inputs: Mapping[ir.Value, np.ndarray]) -> list[np.ndarray]:
    """The outputs of one node."""
    assert node.graph is not None
    graph = onnx.helper.make_graph(
        [ir.to_proto(node)],
        "node",
        list(_infos(inputs.items())),
        [onnx.helper.make_empty_tensor_value_info(str(value.name)) for value in node.outputs],
    )
    opset = onnx.helper.make_opsetid("", node.graph.opset_imports[""])
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {str(value.name): array for value, array in inputs.items()})


def tensor_of(value: ir.Value) -> np.ndarray:
    """The elements of a constant."""
    tensor = constant(value)
    assert tensor is not None
    return tensor.numpy()


def _infos(values: Iterable[tuple[ir.Value, np.ndarray]]) -> Iterable[onnx.ValueInfoProto]:
    for value, array in values:
        element_type = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        yield onnx.helper.make_tensor_value_info(str(value.name), element_type, array.shape)
