"""Which elements of a value are copies of each other, whatever the input?

After nearest upsampling every patch holds one number many times, and so does everything computed from it
element by element: `sigmoid(upsample(logits)) > 0.5` is one decision a patch, though the comparison has one
element a pixel.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import onnx
import onnx_ir as ir

from lascompile.analysis.facts import constant, moves_elements, operator
from lascompile.silent_onnxruntime import onnxruntime

# Each output element is computed from the elements in the same place of the inputs.
_ELEMENTWISE = {
    *("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "Not", "And", "Or", "Xor", "Where"),
    *("Sigmoid", "HardSigmoid", "Tanh", "Relu", "Clip", "Round", "Ceil", "Floor", "Sign", "Cast"),
    *("Add", "Sub", "Mul", "Div", "Max", "Min", "Neg"),
}
# Each output element is computed from the elements of the first input along one axis.
_ALONG_AXIS = {"ArgMax", "ArgMin"}


def count_elements(value: ir.Value) -> np.ndarray:
    """The numbers of the elements of `value` in row-major order, in its shape (int32)."""
    shape = shape_of(value)
    return np.arange(np.prod(shape, dtype=np.int64), dtype=np.int32).reshape(shape)


def find_equals(value: ir.Value) -> np.ndarray | None:
    """For each element of `value`, the first known to equal it (int32, flat); None if all of them may differ."""
    if not _repeats(value):
        return None
    _, first, inverse = np.unique(_labels(value), return_index=True, return_inverse=True)
    return first.astype(np.int32)[inverse.reshape(-1)]


def move_elements(node: ir.Node, elements: np.ndarray) -> np.ndarray:
    """What `node`, which moves elements, makes of `elements` (int32) in place of its first input."""
    if operator(node) in ("Cast", "Identity"):
        return elements
    proto = ir.to_proto(node)
    del proto.input[:], proto.output[:]
    tensors = [constant(value) for value in node.inputs[1:]]
    proto.input.extend(["elements", *("" if t is None else f"constant{i}" for i, t in enumerate(tensors))])
    proto.output.append("moved")
    initializers = [
        onnx.numpy_helper.from_array(tensor.numpy(), f"constant{i}")
        for i, tensor in enumerate(tensors)
        if tensor is not None
    ]
    session = onnxruntime.InferenceSession(
        _model_of(proto, elements, initializers, _opset(node)).SerializeToString(),
        _single_threaded(),
        providers=["CPUExecutionProvider"],
    )
    return session.run(None, {"elements": elements})[0]


def shape_of(value: ir.Value) -> tuple[int, ...]:
    """The static shape of a value of a simplified graph."""
    assert value.shape is not None
    return value.shape.numpy()


def _repeats(value: ir.Value) -> bool:
    """True if some node on the way to `value` may write an element several times."""
    seen = {value}
    pending = [value]
    while pending:
        current = pending.pop()
        sources = _sources(current)
        if any(source.shape is None or _size(source) < _size(current) for source in sources):
            return True
        pending += [source for source in sources if source not in seen]
        seen.update(sources)
    return False


def _sources(value: ir.Value) -> list[ir.Value]:
    """The values whose elements those of `value` are computed from one by one; none if it is not so."""
    node = value.producer()
    if node is None or len(node.outputs) != 1:
        return []
    if moves_elements(node) or operator(node) in _ALONG_AXIS:
        inputs = node.inputs[:1]
    elif operator(node) in _ELEMENTWISE:
        inputs = node.inputs
    else:
        return []
    return [source for source in inputs if source is not None and not _is_threshold(source)]


def _labels(value: ir.Value) -> np.ndarray:
    """int32 of the shape of `value`: elements with one label are equal."""
    known = constant(value)
    if known is not None:
        return np.unique(known.numpy(), return_inverse=True)[1].reshape(known.shape.numpy()).astype(np.int32)
    node = value.producer()
    sources = _sources(value)
    if node is None or not sources:
        return count_elements(value)
    if moves_elements(node):
        return move_elements(node, _labels(sources[0]))
    if operator(node) in _ALONG_AXIS:
        axis = node.attributes.get_int("axis", 0)
        return _tuples(np.moveaxis(_labels(sources[0]), axis, 0)).reshape(shape_of(value))
    return _tuples([np.broadcast_to(_labels(source), shape_of(value)) for source in sources])


def _tuples(labels: np.ndarray | list[np.ndarray]) -> np.ndarray:
    """One label for each different tuple of labels in the same place."""
    return reduce(_pairs, labels)


def _pairs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    both = a.astype(np.int64) * (int(b.max()) + 1) + b
    return np.unique(both, return_inverse=True)[1].reshape(both.shape).astype(np.int32)


def _is_threshold(value: ir.Value) -> bool:
    """True for one constant number, which is the same for every element."""
    known = constant(value)
    return known is not None and known.size == 1


def _size(value: ir.Value) -> int:
    return int(np.prod(shape_of(value), dtype=np.int64))


def _opset(node: ir.Node) -> int:
    assert node.graph is not None
    return node.graph.opset_imports[""]


def _model_of(
    node: onnx.NodeProto, elements: np.ndarray, initializers: list[onnx.TensorProto], opset: int
) -> onnx.ModelProto:
    given = onnx.helper.make_tensor_value_info("elements", onnx.TensorProto.INT32, elements.shape)
    moved = onnx.helper.make_tensor_value_info("moved", onnx.TensorProto.INT32, None)
    graph = onnx.helper.make_graph([node], "moves", [given], [moved], initializers)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    model.ir_version = min(model.ir_version, 10)
    return model


def _single_threaded() -> onnxruntime.SessionOptions:
    """One thread: the work is smaller than starting more."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return options
