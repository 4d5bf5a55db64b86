"""Simplification computes what the file computes, to the bit where only identities are removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnxscript import rewriter
from torch import nn

from lascompile.frontend.simplify import simplify
from tests.analysis.networks import INPUT
from tests.differential.harness import assert_close, compiled, session_of
from tests.differential.networks import Net

Write = Callable[[Net], str]

EDGES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-8, -1e-8, 1.0, -3.0, 0.25, 2.5, -0.75, 1e30, 5.0, -6.0]


def reciprocal(net: Net, value: str) -> str:
    """Tells 0.0, -0.0 and 1e-8 apart."""
    return net.add("Div", net.number(1), value)


def clip(net: Net, x: str, *bounds: float) -> str:
    return net.add("Clip", x, *(net.number(bound) for bound in bounds))


def sliced(net: Net, start: int, end: int) -> str:
    return net.add("Slice", INPUT, net.ints(start), net.ints(end), net.ints(-1))


def nearly(op: str, value: float, behind: bool) -> Write:
    """x and `value`, in either order."""

    def write(net: Net) -> str:
        operands = (INPUT, net.number(value))
        return reciprocal(net, net.add(op, *(operands if behind else operands[::-1])))

    return write


NEARLY: dict[str, Write] = {
    f"{op} {value} {'behind' if behind else 'before'}": nearly(op, value, behind)
    for op, values in {
        "Add": (1e-8, -1e-9, 0.0, -0.0),
        "Sub": (1e-8, -1e-9, 0.0, -0.0),
        "Mul": (1 + 1e-6, 1 - 1e-6, 1.0),
        "Div": (1 + 1e-6, 1 - 1e-6, 1.0),
    }.items()
    for value in values
    for behind in (True, False)
}
BOUNDS: dict[str, Write] = {
    "clips that exclude each other": lambda net: clip(net, clip(net, INPUT, 0, 1), 2, 3),
    "the other way round": lambda net: clip(net, clip(net, INPUT, 2, 3), 0, 1),
    "a Relu of what is negative": lambda net: net.relu(clip(net, INPUT, -5, -1)),
    "a negative bound for a Relu": lambda net: clip(net, net.relu(INPUT), -5, -1),
    "a least and a largest": lambda net: net.add("Min", net.add("Max", INPUT, net.number(1)), net.number(-1)),
    "bounds of more axes": lambda net: net.add(
        "Min", net.add("Max", INPUT, net.constant(np.zeros((1,) * 5, np.float32))), net.number(2)
    ),
}
SHAPES: dict[str, Write] = {
    "halves of an odd axis": lambda net: net.add("Concat", sliced(net, 2, 5), sliced(net, 0, 2), axis=-1),
    "a factor that broadcasts": lambda net: net.add("Mul", INPUT, net.constant(np.ones((2, 1, 1, 1), np.float32))),
    "a zero of another rank": lambda net: net.add("Sub", INPUT, net.constant(np.zeros((1,) * 5, np.float32))),
    "unsqueezed twice": lambda net: net.add("Unsqueeze", net.add("Unsqueeze", INPUT, net.ints(3)), net.ints(1)),
    "products of reshapes": lambda net: net.add(
        "Reshape",
        net.add("MatMul", net.add("Reshape", INPUT, net.ints(3, 5)), net.constant(np.eye(5, dtype=np.float32))),
        net.ints(1, 1, 3, 5),
    ),
}


@pytest.mark.parametrize("name", [*NEARLY, *BOUNDS, *SHAPES])
def test_not_a_bit_is_changed(name: str) -> None:
    net = Net()
    model = net.model((1, 1, 3, 5), {**NEARLY, **BOUNDS, **SHAPES}[name](net))
    x = np.array(EDGES, np.float32).reshape(1, 1, 3, 5)
    (expected,) = session_of(model).run(None, {INPUT: x})
    (got,) = session_of(ir.to_proto(simplify(ir.from_proto(model)))).run(None, {INPUT: x})
    np.testing.assert_array_equal(got.view(np.int32), expected.view(np.int32))


@pytest.mark.parametrize(
    ("op", "value"), [("Mul", 1.0), ("Div", 1.0), ("Sub", 0.0), ("Add", -0.0)], ids=lambda value: str(value)
)
def test_identities_are_removed(op: str, value: float) -> None:
    net = Net()
    model = net.model((1, 3, 4, 4), net.relu(net.add(op, INPUT, net.number(value))))
    assert [node.op_type for node in simplify(ir.from_proto(model)).graph] == ["Relu"]


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_padding_that_follows_from_the_size(auto_pad: str, tmp_path: Path) -> None:
    net = Net()
    dilations = [2, 2] if auto_pad == "VALID" else [1, 1]  # onnxruntime has no other
    weight = net.constant(net.rng.standard_normal((4, 3, 3, 3)).astype(np.float32))
    padded = net.add("Pad", INPUT, net.ints(0, 0, 1, 0, 0, 0, 0, 2))
    outputs = [
        net.add("Conv", x, weight, auto_pad=auto_pad, dilations=dilations, strides=[1, 2]) for x in (INPUT, padded)
    ]
    x = net.rng.standard_normal((1, 3, 8, 8)).astype(np.float32)
    compiled(net.network(*outputs), tmp_path).check_free(x)


class LinearAttention(nn.Module):
    """Random features of queries and keys, whose sum may vanish: what is added to it decides the result."""

    w: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.out = nn.Linear(8, 5)
        self.register_buffer("w", torch.randn(8, 8))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """exp(w x - |x|² / 2), as of a Performer, tiny where |x| is large."""
        return torch.exp(x @ self.w - (x * x).sum(-1, keepdim=True) / 2) / 8**0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, 8] → [B, 5]."""
        q, k, v = torch.split(self.qkv(x), 8, dim=-1)
        q, k = self.features(6 * q), self.features(6 * k)
        d = torch.einsum("bti,bi->bt", q, k.sum(dim=1)).unsqueeze(-1)
        kv = torch.einsum("bin,bim->bnm", v, k)
        y = torch.einsum("bti,bni->btn", q, kv) / (d + 1e-8)
        return self.out(y).mean(1)


@pytest.mark.parametrize("exporter", ["torchscript", "dynamo"])
def test_linear_attention(exporter: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, x = LinearAttention().eval(), torch.randn(1, 6, 8)
    path = tmp_path / "exported.onnx"
    # With `optimize`, the exporter itself leaves out what is added.
    torch.onnx.export(module, (x,), path, dynamo=exporter == "dynamo", verbose=False, optimize=False)
    model = onnx.load(path)
    (name,) = (value.name for value in model.graph.input)
    expected = session_of(model).run(None, {name: x.numpy()})
    with torch.no_grad():
        assert_close(expected, [module(x).numpy()], ["what PyTorch computes"])
    simplified = ir.to_proto(simplify(ir.from_proto(model)))
    assert_close(session_of(simplified).run(None, {name: x.numpy()}), expected, ["simplified"])


def test_a_new_rule_of_the_library_is_not_taken_unseen() -> None:
    """Whoever upgrades it reads what changed, and says in `rewrite_exactly` which rules are left out."""
    assert len(rewriter._DEFAULT_REWRITE_RULES) == 46
