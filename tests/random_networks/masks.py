"""Masks in every form: where the logits come from, how they are compared, and how a patch becomes pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.random_networks.draft import BOOL, FLOAT, Draft, Map, Mask, Shape

INT64 = 7


@dataclass(frozen=True)
class _Logits:
    """[N, 2g, h, w]: "on" in the first g channels, "off" in the others."""

    name: str
    groups: int
    shape: Shape


def draw_mask(net: Draft, x: Map) -> Mask:
    """A mask that fits the map `x`, read off any map of its images, given from outside, or made of other masks."""
    fitting = [mask for mask in net.masks if fits(mask, x)]
    if len(fitting) > 1 and net.source.chance(25):
        return _kept(net, _combined(net, net.source.choice(fitting), net.source.choice(fitting)))
    if fitting and net.source.chance(10):
        return _kept(net, _inverted(net, net.source.choice(fitting)))
    if net.source.chance(8):
        n, _, h, w = x.shape
        name = net.given(f"given{len(net.inputs)}", BOOL, (n, 1, h, w))
        return _kept(net, Mask(name, (n, 1, h, w), True))
    readable = [m for m in net.maps if m.shape[0] == x.shape[0] and m.shape[2:] == x.shape[2:]]
    return _kept(net, _read_off(net, net.source.choice(readable[::-1]), x.shape[1]))


def fits(mask: Mask, x: Map) -> bool:
    """True if `mask` broadcasts to the shape of `x`."""
    return all(own in (1, dim) for own, dim in zip(mask.shape, x.shape, strict=True))


def as_float(net: Draft, mask: Mask) -> str:
    """The mask as a factor."""
    return net.cast(mask.name, FLOAT) if mask.is_bool else mask.name


def as_bool(net: Draft, mask: Mask) -> str:
    """The mask as a condition."""
    return mask.name if mask.is_bool else net.cast(mask.name, BOOL)


def _kept(net: Draft, mask: Mask) -> Mask:
    net.masks.append(mask)
    return mask


def _read_off(net: Draft, x: Map, channels: int) -> Mask:
    """Whole maps, pixels or patches; one decision, one for each group of channels, or one for each channel."""
    n, _, h, w = x.shape
    whole = [group for group in (1, 2, 3, 4) if channels % group == 0]
    groups = net.source.choice([1, 1, 1, channels, *whole])
    patches = [1, *(size for size in (2, 3, 4) if h % size == 0 and w % size == 0)]
    patch = 0 if net.source.chance(15) else net.source.choice(patches)
    logits = _logits(net, x, groups, patch)
    decided = net.source.choice(_DECISIONS)(net, logits)
    is_bool = net.source.chance(50)
    name = net.cast(decided, BOOL if is_bool else FLOAT)
    rows, columns = (h, w) if patch == 0 else (patch, patch)
    if patch == 0 and net.source.chance(50):
        rows = columns = 1  # broadcasts
    if (rows, columns) != (1, 1):
        name, is_bool = _spread(net, as_float(net, Mask(name, logits.shape, is_bool)), logits, rows, columns), False
    size = (logits.shape[2] * rows, logits.shape[3] * columns)
    if groups not in (1, channels):
        name, is_bool = _repeated(net, as_float(net, Mask(name, x.shape, is_bool)), n, groups, channels, size), False
        groups = channels
    return Mask(name, (n, groups, *size), is_bool)


def _logits(net: Draft, x: Map, groups: int, patch: int) -> _Logits:
    """Of a convolution, about their mean over the map now and then; patches: 0 for the whole map."""
    n, c, h, w = x.shape
    pooled, size = x.name, (h, w)
    if patch == 0:
        pooled, size = net.add("GlobalAveragePool", pooled), (1, 1)
    elif patch > 1:
        op_type = net.source.choice(["AveragePool", "MaxPool"])
        pooled = net.add(op_type, pooled, kernel_shape=[patch] * 2, strides=[patch] * 2)
        size = (h // patch, w // patch)
    weight = net.weight(2 * groups, c, 1, 1, scale=c**-0.5)
    logits = net.add("Conv", pooled, weight, net.weight(2 * groups, scale=0.1))
    if patch != 0 and size != (1, 1) and net.source.chance(50):
        logits = net.add("Sub", logits, net.over_axes("ReduceMean", logits, [2, 3]))
    return _Logits(logits, groups, (n, groups, *size))


def _pair(net: Draft, logits: _Logits) -> tuple[str, str]:
    g = logits.groups
    return net.part(logits.name, 0, g, 1), net.part(logits.name, g, 2 * g, 1)


def _difference(net: Draft, logits: _Logits) -> str:
    return net.add("Sub", *_pair(net, logits))


def _at_least(net: Draft, logits: _Logits) -> str:
    pair = _pair(net, logits)
    return net.add("GreaterOrEqual", *pair) if net.opset >= 12 else net.add("Not", net.add("Less", *pair))


def _round(net: Draft, logits: _Logits) -> str:
    share = net.add("Sigmoid", _difference(net, logits))
    return net.add("Round", share) if net.opset >= 11 else net.add("Floor", net.add("Add", share, net.number(0.5)))


def _choice(net: Draft, logits: _Logits) -> str:
    n, g, h, w = logits.shape
    pairs = net.add("Reshape", logits.name, net.ints(n, 2, g, h, w))
    if net.source.chance(50):
        pairs = net.add("Transpose", pairs, perm=[0, 2, 1, 3, 4])
        return net.add("ArgMax", pairs, axis=2, keepdims=0)
    return net.add("ArgMax", pairs, axis=1, keepdims=0)


def _where(net: Draft, logits: _Logits) -> str:
    if net.opset < 9:
        return net.add("Greater", *_pair(net, logits))
    return net.add("Where", net.add("Greater", *_pair(net, logits)), net.number(1), net.number(0))


_DECISIONS: tuple[Callable[[Draft, _Logits], str], ...] = (
    lambda net, logits: net.add("Greater", *_pair(net, logits)),
    _at_least,
    lambda net, logits: net.add("Less", *_pair(net, logits)),
    lambda net, logits: net.add("Not", net.add("Less", *_pair(net, logits))),
    lambda net, logits: net.add("Greater", _difference(net, logits), net.number(0)),
    lambda net, logits: net.add("Greater", net.add("Sigmoid", _difference(net, logits)), net.number(0.5)),
    lambda net, logits: net.add("Sub", net.number(1), _round(net, logits)),
    lambda net, logits: net.add("Equal", _choice(net, logits), net.constant(np.array(0, np.int64))),
    lambda net, logits: net.add("Relu", net.add("Sign", _difference(net, logits))),
    _round,
    _choice,
    _where,
)


def _spread(net: Draft, mask: str, logits: _Logits, rows: int, columns: int) -> str:
    """Repeat each decision `rows` times and `columns` times."""
    n, g, h, w = logits.shape
    form = net.source.choice(["resize", "expand", "tile", "transposed"])
    if form == "resize":
        return net.enlarged(mask, logits.shape, rows, columns)
    if form == "transposed" and g == 1:
        ones = net.constant(np.ones((1, 1, rows, columns), np.float32))
        return net.add("ConvTranspose", mask, ones, strides=[rows, columns])
    apart = net.unsqueezed(mask, 3, 5)
    if form == "tile":
        spread = net.add("Tile", apart, net.ints(1, 1, 1, rows, 1, columns))
    else:
        spread = net.add("Expand", apart, net.ints(n, g, h, rows, w, columns))
    return net.add("Reshape", spread, net.ints(n, g, h * rows, w * columns))


def _repeated(net: Draft, mask: str, n: int, groups: int, channels: int, size: tuple[int, int]) -> str:
    """From one for each group to one for each channel, neighbours alike or every g-th."""
    axis = net.source.choice([1, 2])
    dims = [n, groups, 1, *size] if axis == 2 else [n, 1, groups, *size]
    repeats = [1, 1, channels // groups, 1, 1] if axis == 2 else [1, channels // groups, 1, 1, 1]
    tiled = net.add("Tile", net.add("Reshape", mask, net.ints(*dims)), net.ints(*repeats))
    return net.add("Reshape", tiled, net.ints(n, channels, *size))


def _inverted(net: Draft, mask: Mask) -> Mask:
    if mask.is_bool:
        return Mask(net.add("Not", mask.name), mask.shape, True)
    return Mask(net.add("Sub", net.number(1), mask.name), mask.shape, False)


def _combined(net: Draft, a: Mask, b: Mask) -> Mask:
    shape = tuple(max(pair) for pair in zip(a.shape, b.shape, strict=True))
    n, c, h, w = shape
    if net.source.chance(50):
        op = net.source.choice(["And", "Or", "Xor"])
        return Mask(net.add(op, as_bool(net, a), as_bool(net, b)), (n, c, h, w), True)
    op = net.source.choice(["Mul", "Max", "Min"])
    return Mask(net.add(op, as_float(net, a), as_float(net, b)), (n, c, h, w), False)
