"""Run an ONNX graph in PyTorch, operator by operator.

Covers what residual networks and their maskers are made of. An operator = one function that reads the node
and returns what to do with its tensors, and a row in `OPERATORS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional

from lascompile.analysis.facts import constant, operator
from lascompile.errors import UnsupportedModelError

Function = Callable[..., Tensor]


def channels_last(tensor: Tensor) -> Tensor:
    """`tensor`, laid out [N, H, W, C] if it has four axes."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


class TorchGraph:
    """Callable on torch tensors, in the order of the graph's inputs.

    Raises (on creation):
        UnsupportedModelError: The graph holds an operator, or a form of one, that is not in `OPERATORS`.
    """

    def __init__(self, model: ir.Model) -> None:
        graph = model.graph
        self._inputs = [value for value in graph.inputs if value.name not in graph.initializers]
        self._outputs = list(graph.outputs)
        # A left-out input is None.
        self._constants: dict[ir.Value | None, Any] = {None: None}
        self._constants.update({value: _tensor(value) for value in graph.initializers.values()})
        self._steps = [(node, _function(node), _last_used(node, self._outputs)) for node in graph]

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """The outputs; each value is dropped after its last reader, as eager PyTorch would."""
        values = dict(self._constants)
        values.update(zip(self._inputs, inputs, strict=True))
        for node, function, last_used in self._steps:
            values[node.outputs[0]] = function(*(values[value] for value in node.inputs))
            for value in last_used:
                del values[value]
        return [values[value] for value in self._outputs]


def _tensor(value: ir.Value) -> Tensor:
    assert value.const_value is not None
    return channels_last(torch.from_numpy(value.const_value.numpy().copy()))


def _last_used(node: ir.Node, outputs: list[ir.Value]) -> list[ir.Value]:
    """The computed values that nothing after `node` reads."""
    return [
        value
        for value in dict.fromkeys(node.inputs)
        if value is not None and value.producer() is not None and value not in outputs and _last_reader(value) is node
    ]


def _last_reader(value: ir.Value) -> ir.Node:
    readers = {reader for reader, _ in value.uses()}
    graph = value.producer().graph  # type: ignore[union-attr]
    return next(node for node in reversed(graph) if node in readers)  # type: ignore[arg-type]


def _function(node: ir.Node) -> Function:
    make = OPERATORS.get(operator(node))
    if make is None or len(node.outputs) != 1:
        raise _unsupported(node)
    return make(node)


def _unsupported(node: ir.Node, what: str = "") -> UnsupportedModelError:
    return UnsupportedModelError(f"the torch baseline has no {operator(node)}{what} (node {node.name!r})")


def _plain(function: Callable[..., Tensor]) -> Callable[[ir.Node], Function]:
    """An operator without attributes."""
    return lambda node: function


def _ints(node: ir.Node, name: str, default: list[int]) -> list[int]:
    return list(node.attributes.get_ints(name, default))


def _shape_of_output(node: ir.Node) -> list[int]:
    shape = node.outputs[0].shape
    assert shape is not None
    return list(shape.numpy())


def _list_of(value: ir.Value | None) -> list[int]:
    known = constant(value)
    assert known is not None
    return known.numpy().reshape(-1).tolist()


def _padding(node: ir.Node, fill: float) -> tuple[Callable[[Tensor], Tensor], list[int]]:
    """What to do before a window operator, and the padding that it can do itself."""
    if node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise _unsupported(node, " with auto_pad")
    top, left, bottom, right = _ints(node, "pads", [0, 0, 0, 0])
    if (top, left) == (bottom, right):
        return lambda x: x, [top, left]
    return lambda x: functional.pad(x, (left, right, top, bottom), value=fill), [0, 0]


def _conv(node: ir.Node) -> Function:
    pad, padding = _padding(node, 0.0)
    stride, dilation = _ints(node, "strides", [1, 1]), _ints(node, "dilations", [1, 1])
    groups = node.attributes.get_int("group", 1)

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return functional.conv2d(pad(x), weight, bias, stride, padding, dilation, groups)

    return run


def _max_pool(node: ir.Node) -> Function:
    pad, padding = _padding(node, -torch.inf)
    kernel, stride = _ints(node, "kernel_shape", []), _ints(node, "strides", [1, 1])
    dilation, ceil = _ints(node, "dilations", [1, 1]), bool(node.attributes.get_int("ceil_mode", 0))
    return lambda x: functional.max_pool2d(pad(x), kernel, stride, padding, dilation, ceil)


def _average_pool(node: ir.Node) -> Function:
    _, padding = _padding(node, 0.0)
    if any(_ints(node, "pads", [0])) and not any(padding):
        raise _unsupported(node, " with uneven padding")
    kernel, stride = _ints(node, "kernel_shape", []), _ints(node, "strides", [1, 1])
    ceil = bool(node.attributes.get_int("ceil_mode", 0))
    counts_padding = bool(node.attributes.get_int("count_include_pad", 0))
    return lambda x: functional.avg_pool2d(x, kernel, stride, padding, ceil, counts_padding)


def _reduce_mean(node: ir.Node) -> Function:
    axes = _list_of(node.inputs[1]) if len(node.inputs) > 1 else _ints(node, "axes", [])
    keeps = bool(node.attributes.get_int("keepdims", 1))
    return lambda x, *_: torch.mean(x, axes, keepdim=keeps)


def _gemm(node: ir.Node) -> Function:
    alpha, beta = node.attributes.get_float("alpha", 1.0), node.attributes.get_float("beta", 1.0)
    turns_a, turns_b = (bool(node.attributes.get_int(name, 0)) for name in ("transA", "transB"))

    def run(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        a, b = a.T if turns_a else a, b.T if turns_b else b
        return torch.addmm(c, a, b, beta=beta, alpha=alpha) if c is not None else alpha * (a @ b)

    return run


def _hard_sigmoid(node: ir.Node) -> Function:
    alpha, beta = node.attributes.get_float("alpha", 0.2), node.attributes.get_float("beta", 0.5)
    return lambda x: torch.clamp(alpha * x + beta, 0.0, 1.0)


def _clip(node: ir.Node) -> Function:
    return lambda x, low=None, high=None: x if low is None and high is None else torch.clamp(x, low, high)


def _reshape(node: ir.Node) -> Function:
    shape = _shape_of_output(node)
    return lambda x, *_: x.reshape(shape)


def _expand(node: ir.Node) -> Function:
    shape = _shape_of_output(node)
    return lambda x, *_: x.expand(shape)


def _transpose(node: ir.Node) -> Function:
    order = _ints(node, "perm", [])
    return lambda x: x.permute(order) if order else x.permute(*reversed(range(x.ndim)))


def _cast(node: ir.Node) -> Function:
    dtype = torch.from_numpy(ir.DataType(node.attributes["to"].as_int()).numpy().type(0).reshape(1)).dtype
    return lambda x: x.to(dtype)


def _gather(node: ir.Node) -> Function:
    axis, indices = node.attributes.get_int("axis", 0), constant(node.inputs[1])
    if indices is None:
        raise _unsupported(node, " at computed places")
    places = indices.numpy()
    if places.ndim == 0:
        return lambda x, *_: x.select(axis, int(places))
    if places.ndim == 1:
        wanted = torch.from_numpy(places.astype("int64") % node.inputs[0].shape[axis])  # type: ignore[union-attr, index]
        return lambda x, *_: x.index_select(axis, wanted)
    raise _unsupported(node, " of several axes")


def _resize(node: ir.Node) -> Function:
    source, size = node.inputs[0], _shape_of_output(node)
    assert source is not None and source.shape is not None
    old = list(source.shape.numpy())
    whole = all(new % before == 0 for new, before in zip(size, old, strict=True))
    modes = ("coordinate_transformation_mode", "half_pixel"), ("nearest_mode", "round_prefer_floor")
    floors = [node.attributes.get_string(*mode) for mode in modes] == ["asymmetric", "floor"]
    nearest = node.attributes.get_string("mode", "nearest") == "nearest"
    if not nearest or not (floors or whole) or old[:2] != size[:2]:
        raise _unsupported(node, " of this mode")
    return lambda x, *_: functional.interpolate(x, size[2:], mode="nearest")


def _arg_max(node: ir.Node) -> Function:
    axis, keeps = node.attributes.get_int("axis", 0), bool(node.attributes.get_int("keepdims", 1))
    return lambda x: torch.argmax(x, axis, keepdim=keeps)


OPERATORS: dict[str, Callable[[ir.Node], Function]] = {
    "Add": _plain(torch.add),
    "And": _plain(torch.logical_and),
    "ArgMax": _arg_max,
    "AveragePool": _average_pool,
    "Cast": _cast,
    "Clip": _clip,
    "Conv": _conv,
    "Div": _plain(torch.div),
    "Equal": _plain(torch.eq),
    "Expand": _expand,
    "Flatten": _reshape,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _plain(lambda x: torch.mean(x, (2, 3), keepdim=True)),
    "Greater": _plain(torch.gt),
    "GreaterOrEqual": _plain(torch.ge),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain(functional.hardswish),
    "Less": _plain(torch.lt),
    "LessOrEqual": _plain(torch.le),
    "MatMul": _plain(torch.matmul),
    "MaxPool": _max_pool,
    "Mul": _plain(torch.mul),
    "Not": _plain(torch.logical_not),
    "ReduceMean": _reduce_mean,
    "Relu": _plain(torch.relu),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": _plain(torch.sigmoid),
    "Squeeze": _reshape,
    "Sub": _plain(torch.sub),
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
    "Where": _plain(torch.where),
}
