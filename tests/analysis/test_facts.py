from __future__ import annotations

import math

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from lascompile.analysis.facts import Range, is_binary, is_nonnegative, moves_elements, operator, range_of
from tests.analysis.networks import Builder


def value_of(build: Builder, output: str, shape: tuple[int, ...] = (1, 2, 4, 4)) -> ir.Value:
    """The value that the named node computes, of the model as it stands."""
    model = onnx.shape_inference.infer_shapes(build.model(list(shape), output))
    graph = ir.from_proto(model).graph
    (value,) = (v for node in graph for v in node.outputs if v.name == output)
    return value


def number(build: Builder, value: float) -> str:
    return build.constant(np.array(value, np.float32))


BINARY = {
    "a comparison": lambda b: b.add("Greater", "x", number(b, 0)),
    "its cast": lambda b: b.add("Cast", b.add("Less", "x", number(b, 0)), to=onnx.TensorProto.FLOAT),
    "a boolean cast": lambda b: b.add("Cast", "x", to=onnx.TensorProto.BOOL),
    "round of sigmoid": lambda b: b.add("Round", b.add("Sigmoid", "x")),
    "ceil of a clipped value": lambda b: b.add("Ceil", b.add("Clip", "x", number(b, 0), number(b, 1))),
    "one of two": lambda b: b.add("ArgMax", "x", axis=1),
    "one of two, counted from the end": lambda b: b.add("ArgMin", "x", axis=-3),
    "one-hot": lambda b: b.add("Hardmax", "x", axis=1),
    "1 - mask": lambda b: b.add("Sub", number(b, 1), b.add("Round", b.add("Sigmoid", "x"))),
    "a product": lambda b: b.add("Mul", *(b.add("Round", b.add("Sigmoid", "x")) for _ in range(2))),
    "the larger of two": lambda b: b.add("Max", *(b.add("Round", b.add("Sigmoid", "x")) for _ in range(2))),
    "a choice of 1 and 0": lambda b: b.add("Where", b.add("Less", "x", number(b, 0)), number(b, 1), number(b, 0)),
    "a positive sign": lambda b: b.add("Relu", b.add("Sign", "x")),
    "a padded mask": lambda b: b.add("Pad", b.add("Round", b.add("Sigmoid", "x")), b.ints(0, 0, 1, 1, 0, 0, 1, 1)),
    "a pooled mask": lambda b: b.add("MaxPool", b.add("Round", b.add("Sigmoid", "x")), kernel_shape=[3, 3]),
    "a scattered choice": lambda b: b.add(
        "ScatterElements",
        b.constant(np.zeros((1, 2, 4, 4), np.float32)),
        b.add("ArgMax", "x", axis=1),
        b.constant(np.ones((1, 1, 4, 4), np.float32)),
        axis=1,
    ),
}
NOT_BINARY = {
    "a sigmoid": lambda b: b.add("Sigmoid", "x"),
    "a rounded value": lambda b: b.add("Round", "x"),
    "a softmax": lambda b: b.add("Softmax", "x", axis=1),
    "one of four": lambda b: b.add("ArgMax", "x", axis=2),
    "a sign": lambda b: b.add("Sign", "x"),
    "a sum of masks": lambda b: b.add("Add", *(b.add("Round", b.add("Sigmoid", "x")) for _ in range(2))),
    "2 - mask": lambda b: b.add("Sub", number(b, 2), b.add("Round", b.add("Sigmoid", "x"))),
    "a mean of a mask": lambda b: b.add("AveragePool", b.add("Round", b.add("Sigmoid", "x")), kernel_shape=[2, 2]),
    "a linearly upsampled mask": lambda b: b.add(
        "Resize", b.add("Round", b.add("Sigmoid", "x")), "", "", b.ints(1, 2, 8, 8), mode="linear"
    ),
    "a straight-through estimator": lambda b: b.add(
        "Add", b.add("Sub", b.add("Round", b.add("Sigmoid", "x")), b.add("Sigmoid", "x")), b.add("Sigmoid", "x")
    ),
    "a choice of 1 and a half": lambda b: b.add(
        "Where", b.add("Less", "x", number(b, 0)), number(b, 1), number(b, 0.5)
    ),
}


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str) -> None:
    build = Builder()
    assert is_binary(value_of(build, BINARY[name](build)))


@pytest.mark.parametrize("name", NOT_BINARY)
def test_not_binary(name: str) -> None:
    build = Builder()
    assert not is_binary(value_of(build, NOT_BINARY[name](build)))


def test_constants_are_known_by_their_elements() -> None:
    for array, binary in (([0.0, 1.0], True), ([0.5, 1.0], False), ([math.nan], False), ([-1.0], False)):
        value = ir.Value(name="c", const_value=ir.tensor(np.array(array, np.float32)))
        assert is_binary(value) == binary


def test_nothing_is_known_of_no_value() -> None:
    assert range_of(None) == Range()
    assert not is_binary(None)
    assert not is_nonnegative(None)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Relu", True), ("Sigmoid", True), ("Exp", True), ("Abs", True), ("Tanh", False), ("Neg", False)],
)
def test_nonnegative(name: str, expected: bool) -> None:
    build = Builder()
    assert is_nonnegative(value_of(build, build.add(name, "x"))) == expected


def test_a_sum_of_what_is_never_negative_is_not_either() -> None:
    build = Builder()
    a, b = build.add("Relu", "x"), build.add("MaxPool", build.add("Abs", "x"), kernel_shape=[1, 1])
    assert is_nonnegative(value_of(build, build.add("Add", a, b)))
    build = Builder()
    assert not is_nonnegative(value_of(build, build.add("Add", build.add("Relu", "x"), "x")))


def test_ranges_of_products_and_bounds() -> None:
    build = Builder()
    clipped = build.add("Clip", "x", number(build, -2), number(build, 3))
    assert range_of(value_of(build, build.add("Mul", clipped, clipped))) == Range(-6, 9)
    build = Builder()
    clipped = build.add("Clip", "x", number(build, -2), number(build, 3))
    assert range_of(value_of(build, build.add("Abs", clipped))) == Range(0, 3)


def test_an_operator_of_another_domain_is_not_taken_for_onnx() -> None:
    node = ir.node("Relu", [ir.Value(name="x")], domain="com.example")
    assert operator(node) == "com.example::Relu"
    assert not is_nonnegative(node.outputs[0])


def test_a_deep_network_is_no_deep_recursion() -> None:
    build = Builder()
    value = "x"
    for _ in range(5000):
        value = build.add("Relu", value)
    assert is_nonnegative(value_of(build, value))


def test_a_value_read_many_times_is_looked_at_once() -> None:
    build = Builder()
    value = build.add("Relu", "x")
    for _ in range(200):  # 2^200 ways lead through it
        value = build.add("Add", value, value)
    assert is_nonnegative(value_of(build, value))


def test_elements_move_where_compile_time_says() -> None:
    build = Builder()
    known = value_of(build, build.add("Gather", "x", build.ints(1), axis=1)).producer()
    build = Builder()
    indices = build.add("ArgMax", "x", axis=1)
    unknown = value_of(build, build.add("Gather", "x", indices, axis=1)).producer()
    assert known is not None and moves_elements(known)
    assert unknown is not None and not moves_elements(unknown)
