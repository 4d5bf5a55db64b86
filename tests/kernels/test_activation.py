"""Element-wise functions against onnxruntime, where they are easy to get wrong: NaN, infinities, zeros, borders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from lascompile.lower.activations import as_activations
from lascompile.schedules.cpu.rows import schedule_row_map
from lascompile.workload import Epilogue, MapWorkload
from tests.differential.harness import session_of
from tests.differential.networks import Net
from tests.kernels.calling import SENTINEL, Kernel
from tests.kernels.rows import as_map, as_rows, unwritten

EDGES = np.array(
    [
        np.nan,
        -np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        1,
        -1,
        3,
        -3,
        2.999,
        -3.001,
        6,
        1e38,
        -1e38,
        1e-40,
        -1e-40,
        88,
        -88,
        104,
    ],
    np.float32,
)
UNARY: dict[str, dict[str, Any]] = {
    "Relu": {},
    "LeakyRelu": {},
    "LeakyRelu 0.3": {"alpha": 0.3},
    "Sigmoid": {},
    "HardSigmoid": {},
    "HardSigmoid 0.3": {"alpha": 0.3, "beta": 0.4},
    "HardSwish": {},
    "Tanh": {},
    "Elu": {},
    "Elu 0.3": {"alpha": 0.3},
    "Selu": {},
    "Selu 0.3": {"alpha": 0.3, "gamma": 2.0},
    "Softplus": {},
    "Softsign": {},
    "Erf": {},
    "Neg": {},
    "Abs": {},
    "Identity": {},
}
CLIPS: dict[str, Sequence[float | None]] = {
    "both": (-0.5, 3),
    "above": (None, 3),
    "below": (-1,),
    "neither": (),
    "nothing fits": (2, 1),
}
BINARY = ("Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu")


def model_of(operator: str, *inputs: str, net: Net | None = None, **attributes: Any) -> onnx.ModelProto:
    net = net or Net()
    shape = (1, len(EDGES), 1, 1)
    given = [(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y") if name in inputs]
    return net.network(net.add(operator, *inputs, **attributes), inputs=given)


def reference(model: onnx.ModelProto, *arrays: np.ndarray) -> np.ndarray:
    feeds = {value.name: array.reshape(1, -1, 1, 1) for value, array in zip(model.graph.input, arrays, strict=True)}
    return session_of(model).run(None, feeds)[0].reshape(-1)


def mapped(op: str, epilogue: Epilogue, *arrays: np.ndarray) -> np.ndarray:
    """Each number as a pixel of twenty equal channels, so that vector code and what it leaves over both run."""
    pixels, kinds = len(arrays[0]), ("row",) * len(arrays)
    shape = (1, 20, pixels, 1)
    workload = MapWorkload(pixels, pixels, 20, op, kinds, (pixels,) * len(arrays), False, False, epilogue=epilogue)
    operands = {
        f"operand{i}": as_rows(np.broadcast_to(array.reshape(1, 1, -1, 1), shape)) for i, array in enumerate(arrays)
    }
    kernel = Kernel(schedule_row_map(workload, threads=2))
    got = as_map(kernel(operands | {"output": unwritten(shape, SENTINEL)})["output"], shape)
    np.testing.assert_array_equal(got, np.broadcast_to(got[:, :1], shape))
    return got[0, 0, :, 0]


def assert_same(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7, equal_nan=True)


@pytest.mark.parametrize("name", UNARY)
def test_activations(name: str) -> None:
    model = model_of(name.split()[0], "x", **UNARY[name])
    activations = as_activations([onnx_node(model)])
    expected = reference(model, EDGES)
    assert_same(mapped("Identity", Epilogue(before=activations), EDGES), expected)
    assert_same(mapped("Identity", Epilogue(after=activations), EDGES), expected)


@pytest.mark.parametrize("name", CLIPS)
def test_clips(name: str) -> None:
    """A border that is left out is the largest number, as in onnxruntime: infinities are cut there."""
    net = Net()
    bounds = ["" if bound is None else net.number(bound) for bound in CLIPS[name]]
    model = model_of("Clip", "x", *bounds, net=net)
    activations = as_activations([onnx_node(model)])
    assert_same(mapped("Identity", Epilogue(before=activations), EDGES), reference(model, EDGES))


@pytest.mark.parametrize("operator", BINARY)
def test_binary(operator: str) -> None:
    """Every number with every other."""
    a, b = (array.reshape(-1) for array in np.meshgrid(EDGES, EDGES))
    net = Net()
    shape = (1, len(a), 1, 1)
    given = [(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y")]
    model = net.network(net.add(operator, "x", "y"), inputs=given)
    with np.errstate(all="ignore"):
        assert_same(mapped(operator, Epilogue(), a, b), reference(model, a, b))


def onnx_node(model: onnx.ModelProto) -> ir.Node:
    """The only node of `model`, as lowering sees it."""
    graph = ir.from_proto(model).graph
    (node,) = graph
    return node
