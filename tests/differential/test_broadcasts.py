"""Operands of every two shapes that ONNX broadcasts, in every position, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import nn

from lascompile.models.onnx_export import Exporter
from tests.differential.harness import compiled
from tests.differential.networks import Net, random_inputs

Shape = tuple[int, int, int, int]

# Three channels and one fill rows of the same width; four images of one pixel are as many rows as one of 2x2.
FULL: Shape = (4, 3, 2, 2)
SHAPES: list[Shape] = [(n, c, h, w) for n, c, h, w in product(*((1, size) for size in FULL)) if (n, c, h, w) != FULL]


def conv(net: Net, x: str, channels: int) -> str:
    return net.conv(x, channels, channels, 1, f"conv{len(net.nodes)}")


def gated(net: Net, x: str, channels: int) -> str:
    """Masked by a decision of its own for each pixel."""
    decision = net.add("Greater", net.add("ReduceMax", x, axes=[1]), net.number(0))
    return net.add("Mul", conv(net, x, channels), net.add("Cast", decision, to=TensorProto.FLOAT))


STARTS: dict[str, Callable[[Net, str, int], str]] = {
    "conv": conv,
    "map": lambda net, x, _: net.add("Sub", net.number(1), x),
    "activation": lambda net, x, _: net.add("Sigmoid", x),
    "gate": gated,
    "pool": lambda net, x, _: net.add("GlobalAveragePool", x),
    "input": lambda net, x, _: x,
}


@pytest.mark.parametrize("start", STARTS)
def test_add_of_any_two_shapes(start: str, tmp_path: Path) -> None:
    """Adds of two different shapes of one rank, either way round, with an activation behind them."""
    net = Net()
    inputs = [(f"x{''.join(map(str, shape))}", TensorProto.FLOAT, shape) for shape in [*SHAPES, FULL]]
    outputs = []
    for number, ((name, _, shape), (other, _, larger)) in enumerate(product(inputs, inputs)):
        if shape == larger or (number % 8 and FULL not in (shape, larger)):
            continue
        value = STARTS[start](net, name, shape[1])
        pair = (value, other) if number % 2 else (other, value)
        outputs.append(net.relu(net.add("Add", *pair)))
    model = net.network(*outputs, inputs=inputs)
    compiled(model, tmp_path).check_free(*random_inputs(model))


def test_every_binary_operator(tmp_path: Path) -> None:
    """Behind a convolution, and behind a gate, beside a larger map, a smaller one, and constants of both kinds."""
    net = Net()
    small, large, pixel = (1, 1, 4, 4), (2, 3, 4, 4), (1, 3, 1, 1)
    names = {small: "small", large: "large", pixel: "pixel"}
    pairs = [(small, large), (large, small), (large, (1, 3, 4, 4)), (large, (4, 1)), (pixel, large)]
    outputs = []
    for op, start in product(("Add", "Sub", "Mul", "Div", "Max", "Min"), (conv, gated)):
        for shape, other in pairs:
            value = start(net, names[shape], shape[1])
            constant = net.constant(np.linspace(0.5, 2, int(np.prod(other)), dtype=np.float32).reshape(other))
            outputs.append(net.add(op, value, constant))
            if other in names:
                # Bounded away from zero, since Div by nearly nothing has no range to compare by.
                outputs.append(net.add(op, value, net.add("Add", net.add("Sigmoid", names[other]), net.number(1))))
    inputs = [(name, TensorProto.FLOAT, shape) for shape, name in names.items()]
    model = net.network(*outputs, inputs=inputs)
    compiled(model, tmp_path).check_free(*random_inputs(model))


class Contexts(nn.Module):
    """What authors add to a map: context, attention, masks and their complements, dense and behind a mask."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(2))
        self.single = nn.ModuleList(nn.Conv2d(channels, 1, 3, padding=1) for _ in range(4))
        self.logits = nn.Conv2d(channels, 2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """One output for each form."""
        y = torch.relu(x)
        on, off = self.logits(y).split(1, dim=1)
        m = (on > off).float()
        g = self.single[0](y)
        gated = self.single[1](y) * m
        return (
            y + self.convs[0](y.mean((2, 3), keepdim=True)),
            y + self.single[2](y),
            y + torch.sigmoid(self.single[3](y)),
            y + (1 - m),
            y + g * torch.sigmoid(g),
            y + gated,
            torch.relu(gated + y),
            y + torch.relu(gated),
            y * m + self.convs[1](y.mean((2, 3), keepdim=True)),
            (y + self.convs[1](y) * m) + gated,
            torch.where(m > 0, y, x) + gated,
        )


@pytest.mark.parametrize("channels", [3, 8])
@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_what_authors_add(exporter: Exporter, channels: int, tmp_path: Path) -> None:
    """As PyTorch's exporters write it; three channels and one are rows of one width."""
    torch.manual_seed(0)
    module, image = Contexts(channels).eval(), torch.randn(2, channels, 4, 4)
    path = tmp_path / "exported.onnx"
    torch.onnx.export(module, (image,), path, dynamo=exporter == "dynamo", verbose=False)
    built = compiled(onnx.load(path), tmp_path)
    built.check(image.numpy())
