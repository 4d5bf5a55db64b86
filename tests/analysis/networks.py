"""Masked residual networks in ONNX, a node at a time: the many forms that exporters and authors write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

INPUT, OUTPUT = "x", "y"


@dataclass(frozen=True)
class Form:
    """One network: a stem, `blocks` masked residual blocks, a head.

    `decision`, `upsampling` and `gate` name the functions of `_DECISIONS`, `_UPSAMPLINGS` and `_GATES`.
    """

    decision: str = "greater_or_equal"
    upsampling: str = "resize"
    gate: str = "mul"
    block: str = "bottleneck"
    size: tuple[int, int] = (12, 12)
    cells: tuple[int, int] = (3, 3)
    batch: int = 1
    channels: int = 8
    mask_groups: int = 1
    conv_groups: int = 1
    stride: int = 1
    dilation: int = 1
    batch_norm: bool = False
    blocks: int = 1
    opset: int = 17
    seed: int = 0


class Builder:
    """Collects nodes and weights; every method that adds a node returns the name of its output."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(seed)

    def constant(self, array: np.ndarray, name: str | None = None) -> str:
        """An initialiser."""
        name = name or f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, *values: int) -> str:
        """A constant of int64."""
        return self.constant(np.array(values, np.int64))

    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self.constant(np.array(value, np.float32))

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """A node of one output."""
        name = name or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [f"{name}:0"], name, **attributes))
        return f"{name}:0"

    def conv(
        self, x: str, in_channels: int, out_channels: int, kernel: int, name: str, bias: float = 0.0, **attributes: int
    ) -> str:
        """A convolution that keeps the size of its map, before the stride."""
        stride, dilation, group = (attributes.get(key, 1) for key in ("stride", "dilation", "group"))
        fan_in = in_channels // group * kernel**2
        weight = self.rng.standard_normal((out_channels, in_channels // group, kernel, kernel)) / np.sqrt(fan_in)
        return self.add(
            "Conv",
            x,
            self.constant(weight.astype(np.float32), f"{name}.weight"),
            self.constant(np.full(out_channels, bias, np.float32), f"{name}.bias"),
            name=name,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            dilations=[dilation, dilation],
            pads=[dilation * (kernel // 2)] * 4,
            group=group,
        )

    def batch_norm(self, x: str, channels: int, name: str) -> str:
        """A batch norm with statistics that are not trivial."""
        parts = {
            "weight": self.rng.uniform(0.5, 1.5, channels),
            "bias": self.rng.standard_normal(channels) / 4,
            "running_mean": self.rng.standard_normal(channels) / 4,
            "running_var": self.rng.uniform(0.5, 1.5, channels),
        }
        inputs = [self.constant(value.astype(np.float32), f"{name}.{part}") for part, value in parts.items()]
        return self.add("BatchNormalization", x, *inputs, name=name)

    def model(self, input_shape: Sequence[int | str], output: str, opset: int = 17) -> onnx.ModelProto:
        """Everything added so far, as a model from `INPUT` to `output`."""
        self.nodes.append(helper.make_node("Identity", [output], [OUTPUT], "output"))
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, input_shape)],
            [helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, None)],
            self.initializers,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def masked_network(form: Form) -> onnx.ModelProto:
    """x [N, 3, H, W] → y [N, 5, H', W'], where every block after the stem is masked."""
    build = Builder(form.seed)
    x = build.add("Relu", build.conv(INPUT, 3, form.channels, 3, "stem"))
    size, channels = form.size, form.channels
    for number in range(form.blocks):
        x, size, channels = _block(build, form, f"layer1.{number}", x, size, channels)
    y = build.conv(x, channels, 5, 1, "head")
    return build.model([form.batch, 3, *form.size], y, form.opset)


def random_input(form: Form, seed: int = 1) -> np.ndarray:
    """An input for the network of `form`."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((form.batch, 3, *form.size), dtype=np.float32)


def _block(
    build: Builder, form: Form, name: str, x: str, size: tuple[int, int], channels: int
) -> tuple[str, tuple[int, int], int]:
    out_channels = 2 * channels if form.stride > 1 else channels
    out_size = (-(-size[0] // form.stride), -(-size[1] // form.stride))
    identity = x
    if form.stride > 1:
        identity = build.conv(x, channels, out_channels, 1, f"{name}.downsample.0", stride=form.stride)
    branch = _branch(build, form, name, x, channels, out_channels)
    decision = _DECISIONS[form.decision](build, _logits(build, form, name, x, size, channels), form)
    mask = _UPSAMPLINGS[form.upsampling](build, decision, form, out_size, out_channels)
    y = _GATES[form.gate](build, name, identity, branch, mask)
    return y, out_size, out_channels


def _branch(build: Builder, form: Form, name: str, x: str, channels: int, out_channels: int) -> str:
    spatial = {"stride": form.stride, "dilation": form.dilation, "group": form.conv_groups}
    width = channels // 2
    stages: list[tuple[int, int, int, dict[str, int]]] = {
        "bottleneck": [
            (channels, width, 1, {}),
            (width, width, 3, spatial),
            (width, out_channels, 1, {}),
        ],
        "basic": [(channels, out_channels, 3, spatial), (out_channels, out_channels, 3, {})],
        "single": [(channels, out_channels, 3, spatial)],
    }[form.block]
    value = x
    for number, (in_channels, outputs, kernel, attributes) in enumerate(stages, 1):
        value = build.conv(value, in_channels, outputs, kernel, f"{name}.conv{number}", **attributes)
        if form.batch_norm:
            value = build.batch_norm(value, outputs, f"{name}.bn{number}")
        if number < len(stages):
            value = build.add("Relu", value)
    return value


def _logits(build: Builder, form: Form, name: str, x: str, size: tuple[int, int], channels: int) -> str:
    """[N, 2g, h, w]: the first g say on, the last g say off."""
    if form.cells == (1, 1):
        pooled = build.add("GlobalAveragePool", x)
    elif form.cells == size:
        pooled = x
    else:
        pooled = _pooled(build, x, size, form.cells)
    return centred(build, build.conv(pooled, channels, 2 * form.mask_groups, 1, f"{name}.masker.conv2"))


def centred(build: Builder, logits: str) -> str:
    """Logits about their mean over the map, so that about half of the patches are on."""
    return build.add("Sub", logits, build.add("ReduceMean", logits, axes=[2, 3]))


def _pooled(build: Builder, x: str, size: tuple[int, int], cells: tuple[int, int]) -> str:
    """One mean for each cell; windows overlap where the cells do not divide the size."""
    window = [-(-side // cell) for side, cell in zip(size, cells, strict=True)]
    step = [max(side // cell, 1) for side, cell in zip(size, cells, strict=True)]
    pooled = build.add("AveragePool", x, kernel_shape=window, strides=step)
    return build.add("Slice", pooled, build.ints(0, 0), build.ints(*cells), build.ints(2, 3))


def _pair(build: Builder, logits: str, form: Form) -> tuple[str, str]:
    """Of [N, 2g, h, w], "on" and "off" [N, g, h, w], as PyTorch's `view` and indexing are exported."""
    shape = build.ints(form.batch, 2, form.mask_groups, *form.cells)
    pairs = build.add("Reshape", logits, shape)
    on, off = (build.add("Gather", pairs, build.constant(np.array(i, np.int64)), axis=1) for i in (0, 1))
    return on, off


def _difference(build: Builder, logits: str, form: Form) -> str:
    return build.add("Sub", *_pair(build, logits, form))


def _share(build: Builder, logits: str, form: Form) -> str:
    return build.add("Sigmoid", _difference(build, logits, form))


def _choice(build: Builder, logits: str, form: Form) -> str:
    """Over the pair, 0 where "on" is larger."""
    shape = build.ints(form.batch, 2, form.mask_groups, *form.cells)
    return build.add("ArgMax", build.add("Reshape", logits, shape), axis=1, keepdims=0)


_DECISIONS = {
    "greater_or_equal": lambda b, v, f: b.add("GreaterOrEqual", *_pair(b, v, f)),
    "greater": lambda b, v, f: b.add("Greater", *_pair(b, v, f)),
    "less": lambda b, v, f: b.add("Less", *_pair(b, v, f)[::-1]),
    "not_less": lambda b, v, f: b.add("Not", b.add("Less", *_pair(b, v, f))),
    "difference": lambda b, v, f: b.add("Greater", _difference(b, v, f), b.number(0)),
    "sigmoid": lambda b, v, f: b.add("Greater", _share(b, v, f), b.number(0.5)),
    "round": lambda b, v, f: b.add("Round", _share(b, v, f)),
    "one_minus": lambda b, v, f: b.add("Sub", b.number(1), b.add("Round", _share(b, v, f))),
    "argmax": lambda b, v, f: b.add("Cast", _choice(b, v, f), to=onnx.TensorProto.FLOAT),
    "argmax_equal": lambda b, v, f: b.add("Equal", _choice(b, v, f), b.constant(np.array(0, np.int64))),
    "where": lambda b, v, f: b.add("Where", b.add("Greater", *_pair(b, v, f)), b.number(1), b.number(0)),
    "sign": lambda b, v, f: b.add("Relu", b.add("Sign", _difference(b, v, f))),
}


def _float(build: Builder, value: str) -> str:
    return build.add("Cast", value, to=onnx.TensorProto.FLOAT)


def _resize(build: Builder, decision: str, form: Form, size: tuple[int, int], channels: int) -> str:
    mask = _resized(build, _float(build, decision), form, size)
    return _per_channel(build, mask, form, size, channels)


def _resized(build: Builder, value: str, form: Form, size: tuple[int, int]) -> str:
    if form.cells == size:
        return value
    return build.add(
        "Resize",
        value,
        "",
        "",
        build.ints(form.batch, form.mask_groups, *size),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _per_channel(build: Builder, mask: str, form: Form, size: tuple[int, int], channels: int) -> str:
    """Grouped masks are repeated over the channels of their group, as the authors write it."""
    groups = form.mask_groups
    if groups in (1, channels):
        return mask
    repeated = build.add(
        "Tile", build.add("Unsqueeze", mask, build.ints(1)), build.ints(1, channels // groups, 1, 1, 1)
    )
    transposed = build.add("Transpose", repeated, perm=[0, 2, 1, 3, 4])
    return build.add("Reshape", transposed, build.ints(form.batch, channels, *size))


def _expand(build: Builder, decision: str, form: Form, size: tuple[int, int], channels: int) -> str:
    """Repeat by `Expand`, for sizes that the cells divide."""
    (rows, columns), groups = form.cells, form.mask_groups
    apart = build.add("Unsqueeze", _float(build, decision), build.ints(3, 5))
    dims = (form.batch, groups, rows, size[0] // rows, columns, size[1] // columns)
    spread = build.add("Reshape", build.add("Expand", apart, build.ints(*dims)), build.ints(form.batch, groups, *size))
    return _per_channel(build, spread, form, size, channels)


def _invert_late(build: Builder, decision: str, form: Form, size: tuple[int, int], channels: int) -> str:
    """1 - (1 - mask), the second after upsampling."""
    off = build.add("Sub", build.number(1), _float(build, decision))
    on = build.add("Sub", build.number(1), _resized(build, off, form, size))
    return _per_channel(build, on, form, size, channels)


def _threshold_late(build: Builder, decision: str, form: Form, size: tuple[int, int], channels: int) -> str:
    """Compare again after upsampling."""
    mask = _resized(build, _float(build, decision), form, size)
    compared = build.add("Greater", mask, build.number(0.5))
    return _per_channel(build, _float(build, compared), form, size, channels)


_UPSAMPLINGS = {
    "resize": _resize,
    "expand": _expand,
    "invert_late": _invert_late,
    "threshold_late": _threshold_late,
}


def _truth(build: Builder, mask: str) -> str:
    return build.add("Cast", mask, to=onnx.TensorProto.BOOL)


def _join(build: Builder, name: str, identity: str, branch: str) -> str:
    return build.add("Relu", build.add("Add", identity, branch, name=f"{name}.add"))


def _select_sum(build: Builder, name: str, identity: str, branch: str, mask: str) -> str:
    return build.add("Where", _truth(build, mask), _join(build, name, identity, branch), identity)


def _select_sum_inverted(build: Builder, name: str, identity: str, branch: str, mask: str) -> str:
    off = build.add("Not", _truth(build, mask))
    return build.add("Where", off, identity, _join(build, name, identity, branch))


_GATES = {
    "mul": lambda b, n, i, f, m: _join(b, n, i, b.add("Mul", f, m)),
    "mul_left": lambda b, n, i, f, m: _join(b, n, b.add("Mul", m, f), i),
    "where": lambda b, n, i, f, m: _join(b, n, i, b.add("Where", _truth(b, m), f, b.number(0))),
    "where_off": lambda b, n, i, f, m: _join(b, n, i, b.add("Where", b.add("Not", _truth(b, m)), b.number(0), f)),
    "select_sum": _select_sum,
    "select_sum_inverted": _select_sum_inverted,
    "no_residual": lambda b, n, i, f, m: b.add("Relu", b.add("Mul", f, m)),
}

DECISIONS, UPSAMPLINGS, GATES = (tuple(table) for table in (_DECISIONS, _UPSAMPLINGS, _GATES))
