"""Make a failing network small: fewer outputs, an earlier one, inputs in place of what was computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx
from onnx import helper

Fails = Callable[[onnx.ModelProto], bool]


def shrunk(model: onnx.ModelProto, fails: Fails, most_trials: int = 60) -> onnx.ModelProto:
    """A smaller network that fails as well; `fails` is asked at most `most_trials` times."""
    trials = 0
    while True:
        for smaller in _smaller(model):
            if trials == most_trials:
                return model
            trials += 1
            if fails(smaller):
                model = smaller
                break
        else:
            return model


def _smaller(model: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    """Candidates, the smallest ones first."""
    typed = onnx.shape_inference.infer_shapes(model)
    infos = {info.name: info for info in typed.graph.value_info}
    outputs = list(model.graph.output)
    if len(outputs) > 1:
        yield from (_cut(model, [output], {}) for output in outputs)
    computed = [name for node in model.graph.node for name in node.output if name in infos]
    count = len(model.graph.node)
    for name in computed:
        earlier = _cut(model, [onnx.ValueInfoProto(name=name)], {})
        if len(earlier.graph.node) < count:
            yield earlier
    for name in reversed(computed):
        later = _cut(model, outputs, {name: infos[name]})
        if len(later.graph.node) < count and name not in {output.name for output in outputs}:
            yield later


def _cut(
    model: onnx.ModelProto, outputs: list[onnx.ValueInfoProto], given: dict[str, onnx.ValueInfoProto]
) -> onnx.ModelProto:
    """The part of `model` between `given` values, which become inputs, and `outputs`."""
    needed = {output.name for output in outputs}
    nodes = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output) - given.keys():
            nodes.append(node)
            needed.update(node.input)
    inputs = [value for value in model.graph.input if value.name in needed]
    inputs += [info for name, info in given.items() if name in needed]
    weights = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    graph = helper.make_graph(nodes[::-1], "cut", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
