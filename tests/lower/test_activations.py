"""Activations within a masked branch: computed on the pixels that are needed, and on no others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from tests.differential.harness import Compiled
from tests.differential.networks import Net

Checked = Callable[[onnx.ModelProto], Compiled]


def gelu(net: Net, x: str) -> str:
    """As exporters write it before opset 20."""
    share = net.add("Add", net.add("Erf", net.add("Div", x, net.number(2**0.5))), net.number(1))
    return net.add("Mul", net.add("Mul", x, share), net.number(0.5))


def prelu(net: Net, x: str) -> str:
    return net.add("PRelu", x, net.constant(np.linspace(-0.5, 0.5, 8, dtype=np.float32).reshape(8, 1, 1)))


ACTIVATIONS: dict[str, Callable[[Net, str], str]] = {
    "gelu": gelu,
    "prelu": prelu,
    "selu": lambda net, x: net.add("Selu", x),
    "softplus": lambda net, x: net.add("Softplus", x),
    "softsign": lambda net, x: net.add("Softsign", x),
}


def test_branches_with_every_activation(checked: Checked) -> None:
    net = Net()
    x = net.stem()
    for name, activation in ACTIVATIONS.items():
        inner = activation(net, net.conv(x, 8, 8, 3, f"{name}.conv1"))
        gated = net.add("Mul", net.conv(inner, 8, 8, 1, f"{name}.conv2"), net.mask(x, 8, f"{name}.mask"))
        x = net.add("Add", x, gated, name=f"{name}.sum")
    blocks = checked(net.network(x)).artifact.manifest.blocks
    assert len(blocks) == len(ACTIVATIONS)
    assert all(block["dynamic"] and block["reason"] is None for block in blocks)
