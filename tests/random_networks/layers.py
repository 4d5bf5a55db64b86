"""Operators on one map: convolutions and poolings with every padding, functions, and what moves pixels and channels."""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Any

import numpy as np

from tests.random_networks.draft import Draft, Map

CHANNELS = (4, 1, 3, 8, 2, 6, 16, 17)
_MOST_ELEMENTS = 4 * 16 * 13 * 13


def convolution(net: Draft, x: Map) -> None:
    """Any kernel, stride, dilation, padding and number of groups that fit."""
    n, c, h, w = x.shape
    out = net.source.choice(CHANNELS)
    groups = net.source.choice([1, 1, 1, gcd(c, out), 2 if c % 2 == out % 2 == 0 else 1])
    if net.source.chance(10):
        out = groups = c
    kernel = net.source.choice([(1, 1), (3, 3), (1, 1), (3, 3), (2, 2), (1, 3), (5, 5), (3, 1)])
    dilation = net.source.choice([(1, 1), (1, 1), (1, 1), (2, 2), (1, 2)])
    stride = net.source.choice([(1, 1), (1, 1), (1, 1), (2, 2), (2, 1)])
    padding = _padding(net, (h, w), kernel, stride, dilation, 3)
    if padding is None:
        return
    attributes, size = padding
    weight = net.weight(out, c // groups, *kernel, scale=(c // groups * kernel[0] * kernel[1]) ** -0.5)
    bias = [net.weight(out, scale=0.3)] if net.source.chance(70) else []
    if net.source.chance(70):
        attributes["kernel_shape"] = kernel
    y = net.add("Conv", x.name, weight, *bias, strides=stride, dilations=dilation, group=groups, **attributes)
    net.keep(y, (n, out, *size))


def _padding(
    net: Draft,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    most: int,
) -> tuple[dict[str, Any], tuple[int, int]] | None:
    """Attributes, and the size of the result; None if nothing is left of the map."""
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    form = net.source.choice(["same", "same", "none", "uneven", "SAME_UPPER", "SAME_LOWER", "VALID"])
    if form.startswith("SAME") and dilation == (1, 1):  # onnxruntime has no dilated ones
        height, width = (-(-side // step) for side, step in zip(size, stride, strict=True))
        return {"auto_pad": form}, (height, width)
    pads = [0, 0, 0, 0]
    if form == "same":
        pads = [(spans[axis % 2] - 1 + axis // 2) // 2 for axis in range(4)]
    elif form == "uneven":
        pads = [net.source.integer(0, min(most, spans[axis % 2] - 1)) for axis in range(4)]
    sides = [(size[a] + pads[a] + pads[a + 2] - spans[a]) // stride[a] + 1 for a in (0, 1)]
    if any(size[a] + pads[a] + pads[a + 2] < spans[a] for a in (0, 1)):
        return None
    return ({"auto_pad": "VALID"} if form == "VALID" else {"pads": pads}), (sides[0], sides[1])


def pooling(net: Draft, x: Map) -> None:
    """A window that moves over the map."""
    n, c, _, _ = x.shape
    kernel = net.source.choice([(2, 2), (3, 3), (1, 2), (3, 1)])
    stride = net.source.choice([(1, 1), (2, 2), (2, 1)])
    padding = _padding(net, x.shape[2:], kernel, stride, (1, 1), min(kernel) - 1)
    if padding is None:
        return
    attributes, size = padding
    pads = attributes.get("pads", [0] * 4)
    if any(pad >= kernel[axis % 2] for axis, pad in enumerate(pads)):
        return
    op_type = net.source.choice(["MaxPool", "AveragePool"])
    if auto_pad_is_negative(attributes, x.shape[2:], kernel, stride):
        return
    if op_type == "AveragePool" and net.source.chance(40):
        attributes["count_include_pad"] = 1
    net.keep(net.add(op_type, x.name, kernel_shape=kernel, strides=stride, **attributes), (n, c, *size))


def auto_pad_is_negative(
    attributes: dict[str, Any], size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]
) -> bool:
    """True where a window skips pixels at the border, which onnxruntime refuses to pool."""
    automatic = str(attributes.get("auto_pad", "")).startswith("SAME")
    reach = [(-(-size[a] // stride[a]) - 1) * stride[a] + kernel[a] for a in (0, 1)]
    return automatic and any(reach[a] < size[a] for a in (0, 1))


def context(net: Draft, x: Map) -> None:
    """One number for each channel, each pixel, or the whole map."""
    n, c, h, w = x.shape
    axes = net.source.choice([(2, 3), (1,), (2, 3), (1, 2, 3), (3,), (2,), (0,)])
    op_type = net.source.choice(["ReduceMean", "ReduceMax", "ReduceMean", "ReduceSum"])
    if axes == (2, 3) and net.source.chance(50):
        name = net.add(net.source.choice(["GlobalAveragePool", "GlobalMaxPool"]), x.name)
    else:
        name = net.over_axes(op_type, x.name, axes)
    net.keep(name, [1 if axis in axes else dim for axis, dim in enumerate((n, c, h, w))])


def excitation(net: Draft, x: Map) -> None:
    """Squeeze and excite: the map times what a small network makes of its means."""
    n, c, _, _ = x.shape
    hidden = max(c // 2, 1)
    means = net.add("GlobalAveragePool", x.name)
    squeezed = net.relu(net.add("Conv", means, net.weight(hidden, c, 1, 1, scale=c**-0.5)))
    excited = net.add("Conv", squeezed, net.weight(c, hidden, 1, 1, scale=hidden**-0.5), net.weight(c))
    factors = net.keep(net.add(net.source.choice(["Sigmoid", "HardSigmoid"]), excited), (n, c, 1, 1))
    net.of(x, "Mul", factors.name)


def _function(op_type: str, **attributes: float) -> Callable[[Draft, Map], None]:
    def apply(net: Draft, x: Map) -> None:
        net.of(x, op_type, **attributes)

    return apply


def _clip(net: Draft, x: Map) -> None:
    low, high = net.source.choice([(0.0, 6.0), (-1.0, 1.0), (-0.5, 0.25)])
    net.keep(net.clipped(x.name, low, high), x.shape)


def _prelu(net: Draft, x: Map) -> None:
    shape = net.source.choice([(x.shape[1], 1, 1), (1,)])
    net.of(x, "PRelu", net.positive(*shape))


def _exponential(net: Draft, x: Map) -> None:
    net.keep(net.add("Exp", net.clipped(x.name, -2, 2)), x.shape)


def _root(net: Draft, x: Map) -> None:
    net.keep(net.add("Sqrt", net.add("Add", net.add("Abs", x.name), net.number(0.1))), x.shape)


def _norm(net: Draft, x: Map) -> None:
    c = x.shape[1]
    parts = [net.positive(c), net.weight(c, scale=0.3), net.weight(c, scale=0.3), net.positive(c)]
    net.of(x, "BatchNormalization", *parts)


def _softmax(net: Draft, x: Map) -> None:
    net.of(x, "Softmax", axis=1 if net.opset >= 13 else 3)


def _dropout(net: Draft, x: Map) -> None:
    net.of(x, net.source.choice(["Dropout", "Identity"]))


FUNCTIONS: tuple[Callable[[Draft, Map], None], ...] = (
    *map(_function, ("Relu", "Relu", "Sigmoid", "Tanh", "HardSigmoid", "Abs", "Neg", "Softplus", "Erf", "Selu")),
    _function("LeakyRelu", alpha=0.1),
    _function("Elu", alpha=0.7),
    *(_clip, _prelu, _exponential, _root, _norm, _norm, _softmax, _dropout),
)


def function(net: Draft, x: Map) -> None:
    """An operator of one argument."""
    net.source.choice(FUNCTIONS)(net, x)


def shuffle(net: Draft, x: Map) -> None:
    """The channels in another order."""
    n, c, h, w = x.shape
    groups = next((g for g in (2, 3, 4) if c % g == 0), 1)
    apart = net.add("Reshape", x.name, net.ints(n, groups, c // groups, h, w))
    net.keep(net.add("Reshape", net.add("Transpose", apart, perm=[0, 2, 1, 3, 4]), net.ints(n, c, h, w)), x.shape)


def halves(net: Draft, x: Map) -> None:
    """The first channels and the others, apart."""
    n, c, h, w = x.shape
    if c > 1:
        middle = c // 2
        net.keep(net.part(x.name, middle, c, 1), (n, c - middle, h, w))
        net.keep(net.part(x.name, 0, middle, 1), (n, middle, h, w))


def crop(net: Draft, x: Map) -> None:
    """A part of the rows or columns, or of the images."""
    axis = net.source.choice([2, 3, 0])
    size = x.shape[axis]
    start = net.source.integer(0, size - 1)
    end = net.source.integer(start + 1, size)
    shape = [end - start if a == axis else dim for a, dim in enumerate(x.shape)]
    net.keep(net.part(x.name, start, end, axis), shape)


def border(net: Draft, x: Map) -> None:
    """Rows and columns around the map."""
    n, c, h, w = x.shape
    pads = [net.source.integer(0, 2) for _ in range(4)]
    mode = "constant" if min(h, w) < 3 else net.source.choice(["constant", "edge", "reflect"])
    value = net.source.choice([0.0, 0.5])
    padded = net.padded(x.name, [0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]], value, mode)
    net.keep(padded, (n, c, h + pads[0] + pads[2], w + pads[1] + pads[3]))


def enlarge(net: Draft, x: Map) -> None:
    """Nearest upsampling by whole factors."""
    n, c, h, w = x.shape
    rows, columns = net.source.choice([(2, 2), (1, 2), (3, 1)])
    net.keep(net.enlarged(x.name, x.shape, rows, columns), (n, c, h * rows, w * columns))


def turned(net: Draft, x: Map) -> None:
    """Rows for columns."""
    n, c, h, w = x.shape
    net.keep(net.add("Transpose", x.name, perm=[0, 1, 3, 2]), (n, c, w, h))


def product(net: Draft, x: Map) -> None:
    """The channels of each pixel times a matrix, through a layout with channels last."""
    n, c, h, w = x.shape
    out = net.source.choice(CHANNELS)
    last = net.add("Transpose", x.name, perm=[0, 2, 3, 1])
    if net.opset >= 17 and net.source.chance(50):
        last = net.add("LayerNormalization", last, net.positive(c), net.weight(c), axis=-1)
    multiplied = net.add("MatMul", last, net.weight(c, out, scale=c**-0.5))
    net.keep(net.add("Transpose", multiplied, perm=[0, 3, 1, 2]), (n, out, h, w))


def repeated(net: Draft, x: Map) -> None:
    """Broadcast to a larger shape, by what does nothing but that."""
    n, c, h, w = x.shape
    grown = [dim if dim > 1 else net.source.choice([1, 2, 3]) for dim in (n, c, h, w)]
    if net.source.chance(50):
        net.keep(net.add("Expand", x.name, net.ints(*grown)), grown)
    else:
        zeros = net.constant(np.zeros(grown, np.float32))
        net.keep(net.add("Add", x.name, zeros), grown)


LAYERS: tuple[Callable[[Draft, Map], None], ...] = (
    *[convolution] * 8,
    *[function] * 5,
    *[pooling] * 2,
    *[context] * 2,
    *(excitation, shuffle, halves, crop, border, enlarge, turned, product, repeated),
)


def layer(net: Draft, x: Map) -> None:
    """Any of them, as long as maps stay small."""
    made = len(net.maps)
    net.source.choice(LAYERS)(net, x)
    if len(net.maps) > made and np.prod(net.maps[-1].shape) > _MOST_ELEMENTS:
        crop(net, net.maps[-1])
