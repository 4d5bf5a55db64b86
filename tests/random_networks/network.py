"""A whole network: an input or two, layers and joins on values drawn from those before, several outputs."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import strategies as st

from tests.random_networks.draft import FLOAT, Draft, Map, Value
from tests.random_networks.joins import join, steady
from tests.random_networks.layers import layer
from tests.random_networks.source import DrawnSource, SeededSource, Source

OPSETS = (17, 18, 13, 11, 12, 14, 15, 16, 19, 20, 21, 22, 23, 24, 25)
SIDES = (8, 4, 7, 1, 12, 5, 2, 6, 9, 13, 3)


def draw_network(source: Source) -> onnx.ModelProto:
    """Three to fourteen steps, each a layer, a join, or a block; now and then all on maps of one shape."""
    net = Draft(source, source.choice(OPSETS))
    shape = (source.choice([1, 2, 1, 3, 4]), source.choice([3, 4, 1, 8]), source.choice(SIDES), source.choice(SIDES))
    net.keep(net.given("x", FLOAT, shape), shape)
    if source.chance(20):
        net.keep(net.given("z", FLOAT, shape), shape)
    steps = [steady] if source.chance(30) else [layer, join]
    for _ in range(source.integer(3, 14)):
        source.choice(steps)(net, net.some_map())
    return net.finished(_outputs(net))


def _outputs(net: Draft) -> list[str | Value]:
    """The last map, as it is or through a head, and others: intermediate ones, masks, constants, inputs."""
    source, last = net.source, net.maps[-1]
    outputs: list[str | Value] = [_head(net, last) if source.chance(30) else last.name]
    while source.chance(35):
        kinds: list[str | Value] = [source.choice(net.maps).name]
        if net.masks:
            kinds.append(source.choice(net.masks).name)
        kinds += [net.inputs[0], _constant(net)]
        outputs.append(source.choice(kinds))
    unique = {output if isinstance(output, str) else output[0]: output for output in outputs}
    given = {value[0]: value for value in net.inputs}
    return [given.get(name, output) for name, output in unique.items()]


def _head(net: Draft, x: Map) -> str:
    _, c, _, _ = x.shape
    means = net.add("Flatten", net.add("GlobalAveragePool", x.name))
    return net.add("Gemm", means, net.weight(c, 5), net.weight(5))


def _constant(net: Draft) -> str | Value:
    """What no input changes: a sum of constants, a shape, an initialiser."""
    kind = net.source.choice(["sum", "shape", "stored", "filled"])
    if kind == "sum":
        return net.add("Add", net.number(2), net.number_of(1, 2))
    if kind == "stored":
        return net.constant(np.arange(3, dtype=np.float32)), FLOAT, (3,)
    shape = net.add("Shape", net.source.choice(net.maps).name)
    return shape if kind == "shape" or net.opset < 9 else net.add("ConstantOfShape", shape)


def network_of(seed: int) -> onnx.ModelProto:
    """The network that follows from a seed."""
    return draw_network(SeededSource(seed))


@st.composite
def networks(draw: st.DrawFn) -> onnx.ModelProto:
    """Any network, for hypothesis to shrink."""
    return draw_network(DrawnSource(draw))
