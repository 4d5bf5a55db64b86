"""Operators on two maps: sums and the like with every broadcast, gates, residual blocks, concatenation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.random_networks.draft import Draft, Map, Shape
from tests.random_networks.layers import convolution, function
from tests.random_networks.masks import as_bool, as_float, draw_mask


def broadcast(a: Shape, b: Shape) -> Shape | None:
    """The shape of a sum; None if there is none."""
    if any(x != y and 1 not in (x, y) for x, y in zip(a, b, strict=True)):
        return None
    n, c, h, w = (max(pair) for pair in zip(a, b, strict=True))
    return n, c, h, w


def _partner(net: Draft, x: Map) -> tuple[str, Shape]:
    """A map that goes together with `x`, or a constant."""
    fitting = [m for m in net.maps if broadcast(m.shape, x.shape) is not None]
    larger = [m for m in fitting if m.shape != x.shape]
    if larger and net.source.chance(50):
        fitting = larger
    if fitting and net.source.chance(75):
        other = net.source.choice(fitting[::-1])
        return other.name, other.shape
    n, c, h, w = (dim if net.source.chance(50) else 1 for dim in x.shape)
    leading = [n, c, h, w]
    while leading and leading[0] == 1 and net.source.chance(50):
        leading.pop(0)
    return net.positive(*leading), (n, c, h, w)


def arithmetic(net: Draft, x: Map) -> None:
    """Sum, difference, product, quotient, largest or least."""
    other, shape = _partner(net, x)
    result = broadcast(x.shape, shape)
    assert result is not None
    op_type = net.source.choice(["Add", "Add", "Add", "Mul", "Sub", "Max", "Min", "Div", "Sum", "PRelu"])
    if op_type == "Div":
        other = net.add("Add", net.add("Sigmoid", other), net.number(0.5))
        op_type, pair = "Div", (x.name, other)
    else:
        pair = (x.name, other) if net.source.chance(50) else (other, x.name)
    if op_type == "PRelu":  # broadcasts its slope alone
        if result != x.shape:
            return
        pair = (x.name, other)
    net.keep(net.add(op_type, *pair), result)


def gate(net: Draft, x: Map) -> Map:
    """The map where a mask is on; zero, a constant or another map elsewhere."""
    mask = draw_mask(net, x)
    form = net.source.choice(["mul", "mul", "left", "where", "otherwise", "off", "times zero"])
    if net.opset < 9 or form in ("mul", "left"):
        pair = (x.name, as_float(net, mask))
        return net.keep(net.add("Mul", *(pair if form != "left" else pair[::-1])), x.shape)
    condition = as_bool(net, mask)
    if form == "off":
        return net.keep(net.add("Where", condition, net.number(0), x.name), x.shape)
    if form == "times zero":
        zeros = net.add("Mul", x.name, net.number(0))
        return net.keep(net.add("Where", condition, x.name, zeros), x.shape)
    alike = [m.name for m in net.maps if m.shape == x.shape]
    constants = [net.number(0), net.number(0.5), net.constant(np.zeros((1, x.shape[1], 1, 1), np.float32))]
    other = net.source.choice(constants if form == "where" else [*alike, constants[1]])
    pair = (x.name, other) if net.source.chance(60) else (other, x.name)
    return net.keep(net.add("Where", condition, *pair), x.shape)


def block(net: Draft, x: Map) -> None:
    """A residual block: gated at its end, in its middle, at its beginning, on its skip path, or twice."""
    n, c, h, w = x.shape
    place = net.source.choice(["end", "end", "end", "middle", "beginning", "skip", "twice"])
    skip, inner = x, x
    if place in ("beginning", "twice"):
        inner = gate(net, inner)
    width = net.source.choice([max(c // 2, 1), c])
    inner = _conv(net, inner, width, net.source.choice([1, 3]))
    if net.source.chance(80):
        function(net, inner)
        inner = net.maps[-1]
    if place == "middle":
        inner = gate(net, inner)
    if net.source.chance(60):
        inner = net.of(_conv(net, inner, width, 3), "Relu")
    inner = _conv(net, inner, c, net.source.choice([1, 3]))
    if place in ("end", "twice"):
        inner = gate(net, inner)
    if place == "skip":
        skip = gate(net, skip)
    pair = (skip.name, inner.name) if net.source.chance(50) else (inner.name, skip.name)
    total = net.keep(net.add(net.source.choice(["Add", "Add", "Add", "Sum", "Max"]), *pair), (n, c, h, w))
    if net.source.chance(70):
        net.of(total, "Relu")


def _conv(net: Draft, x: Map, out: int, kernel: int) -> Map:
    n, c, h, w = x.shape
    weight = net.weight(out, c, kernel, kernel, scale=(c * kernel**2) ** -0.5)
    y = net.add("Conv", x.name, weight, net.weight(out, scale=0.3), pads=[kernel // 2] * 4)
    if net.source.chance(30):
        parts = [net.positive(out), net.weight(out, scale=0.3), net.weight(out, scale=0.3), net.positive(out)]
        y = net.add("BatchNormalization", y, *parts)
    return net.keep(y, (n, out, h, w))


def concatenation(net: Draft, x: Map) -> None:
    """Two maps behind one another, along the channels, the rows, the columns or the images."""
    axis = net.source.choice([1, 1, 2, 3, 0])
    apart = [dim for i, dim in enumerate(x.shape) if i != axis]
    same = [m for m in net.maps if [dim for i, dim in enumerate(m.shape) if i != axis] == apart]
    other = net.source.choice(same[::-1])
    shape = [dim + other.shape[i] if i == axis else dim for i, dim in enumerate(x.shape)]
    net.keep(net.add("Concat", x.name, other.name, axis=axis), shape)


def _gate(net: Draft, x: Map) -> None:
    gate(net, x)


JOINS: tuple[Callable[[Draft, Map], None], ...] = (
    *[block] * 5,
    *[_gate] * 4,
    *[arithmetic] * 5,
    concatenation,
    convolution,
)


def join(net: Draft, x: Map) -> None:
    """Any of them."""
    net.source.choice(JOINS)(net, x)


def _sum(net: Draft, x: Map) -> None:
    net.of(x, "Add", net.source.choice([m.name for m in net.maps if m.shape == x.shape]))


STEADY: tuple[Callable[[Draft, Map], None], ...] = (block, _gate, _gate, _sum, _sum, function)


def steady(net: Draft, x: Map) -> None:
    """One that keeps the shape, so that values share memory where they may, and not where they may not."""
    alike = [m for m in net.maps if m.shape == net.maps[0].shape]
    net.source.choice(STEADY)(net, x if x in alike else net.source.choice(alike[::-1]))
