"""Graphs of maps of one size, on which every algorithm can be forced: convolved, gated, added, selected at random."""

from __future__ import annotations

import onnx
from hypothesis import strategies as st

from tests.differential.networks import Net

CHANNELS = 8
OPERATIONS = ("conv1x1", "conv3x3", "relu", "sigmoid", "add", "gate", "gate", "where", "residual", "pool", "block")


@st.composite
def graphs(draw: st.DrawFn) -> onnx.ModelProto:
    """Six to sixteen operations on maps [1, 8, 8, 8], each on values drawn from those before."""
    net = Net(draw(st.integers(0, 99)))
    maps = [net.stem(CHANNELS), net.conv("x", 3, CHANNELS, 1, "other")]
    masks = [net.mask(maps[0], CHANNELS, "mask"), net.mask(maps[1], CHANNELS, "fine", patch=2)]
    for number in range(draw(st.integers(6, 16))):
        operation = draw(st.sampled_from(OPERATIONS))
        # The newest map is drawn more often, so that graphs become deep, and often twice, as a branch and its residual.
        a, other = (maps[min(draw(st.integers(0, len(maps) + 2)), len(maps) - 1)] for _ in range(2))
        b = draw(st.sampled_from([a, other]))
        mask = draw(st.sampled_from(masks))
        maps.append(apply(net, operation, f"n{number}", a, b, mask))
        if draw(st.integers(0, 5)) == 0:
            masks.append(net.mask(maps[-1], CHANNELS, f"mask{number}", patch=draw(st.sampled_from([1, 2, 4]))))
    returned = draw(st.sets(st.integers(0, len(maps) - 2), max_size=2))
    return net.network(*(maps[i] for i in sorted(returned)), maps[-1])


def apply(net: Net, operation: str, name: str, a: str, b: str, mask: str) -> str:
    """A new map, called `name` as far as its weights go."""
    kernel = 3 if operation == "conv3x3" else 1
    if operation in ("conv1x1", "conv3x3"):
        return net.conv(a, CHANNELS, CHANNELS, kernel, name)
    if operation in ("relu", "sigmoid"):
        return net.add("Relu" if operation == "relu" else "Sigmoid", a)
    if operation == "gate":
        return net.add("Mul", a, mask)
    if operation == "where":
        return net.add("Where", net.boolean(mask), a, b)
    if operation == "residual":
        return net.relu(net.add("Add", b, net.add("Mul", net.conv(a, CHANNELS, CHANNELS, 3, name), mask)))
    if operation == "pool":
        return net.add("Add", a, net.add("GlobalAveragePool", b))
    if operation == "block":
        return net.masked_block(a, CHANNELS, name, mask)
    return net.add("Add", a, b)
