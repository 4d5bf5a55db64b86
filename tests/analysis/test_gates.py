"""Which nodes are gates, and how a `Where` is read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from lascompile.analysis.gates import Gate, find_gates
from lascompile.frontend.simplify import simplify
from tests.analysis.networks import INPUT, Builder, Form, masked_network

SHAPE = [1, 3, 4, 4]


def gates_of(model: onnx.ModelProto) -> list[Gate]:
    return find_gates(simplify(ir.from_proto(model)).graph)


def decide(build: Builder) -> str:
    return build.add("Greater", build.conv(INPUT, 3, 1, 1, "masker"), build.number(0))


def number_mask(build: Builder) -> str:
    return build.add("Cast", decide(build), to=onnx.TensorProto.FLOAT)


def test_a_where_with_a_residual_gates_the_branch_with_work_of_its_own() -> None:
    for form in ("select_sum", "select_sum_inverted"):
        (gate,) = gates_of(masked_network(Form(gate=form)))
        assert gate.gated.producer().op_type == "Relu"  # type: ignore[union-attr]
        assert gate.otherwise is not None and gate.otherwise.name == "Relu_1:0"
        assert not gate.mask.inverted


def test_a_where_of_two_branches_gates_the_first() -> None:
    build = Builder()
    on, off = (build.conv(INPUT, 3, 6, 3, name) for name in ("on", "off"))
    (gate,) = gates_of(build.model(SHAPE, build.add("Where", decide(build), on, off)))
    assert (gate.gated.name, gate.otherwise and gate.otherwise.name) == ("on:0", "off:0")


def test_zeros_are_no_other_branch() -> None:
    build = Builder()
    zeros = build.constant(np.zeros((1, 6, 4, 4), np.float32))
    (gate,) = gates_of(build.model(SHAPE, build.add("Where", decide(build), zeros, build.conv(INPUT, 3, 6, 3, "conv"))))
    assert gate.otherwise is None
    assert gate.gated.name == "conv:0"
    assert gate.mask.inverted


NO_GATES: dict[str, Callable[[Builder, str], str]] = {
    "a soft mask": lambda b, f: b.add("Mul", f, b.add("Sigmoid", b.conv(INPUT, 3, 1, 1, "masker"))),
    "a constant mask": lambda b, f: b.add("Mul", f, b.constant(np.eye(4, dtype=np.float32)[None, None])),
    "a mask of masks": lambda b, f: b.add("Mul", number_mask(b), b.add("Round", b.add("Sigmoid", f))),
    "a map that is widened": lambda b, f: b.add(
        "Mul", b.conv(INPUT, 3, 1, 3, "one"), b.add("Expand", number_mask(b), b.ints(1, 6, 4, 4))
    ),
    "numbers where the mask is off": lambda b, f: b.add("Where", decide(b), f, b.number(1)),
    "a constant that passes": lambda b, f: b.add(
        "Where",
        decide(b),
        b.constant(np.ones((1, 6, 4, 4), np.float32)),
        b.constant(np.zeros((1, 1, 1, 1), np.float32)),
    ),
    "a linearly upsampled mask": lambda b, f: b.add(
        "Mul",
        f,
        b.add(
            "Resize",
            b.add("MaxPool", number_mask(b), kernel_shape=[2, 2], strides=[2, 2]),
            "",
            "",
            b.ints(1, 1, 4, 4),
            mode="linear",
        ),
    ),
    "a sum": lambda b, f: b.add("Add", f, number_mask(b)),
}


@pytest.mark.parametrize("case", NO_GATES)
def test_no_gate(case: str) -> None:
    build = Builder()
    feature_map = build.conv(INPUT, 3, 6, 3, "conv")
    assert not gates_of(build.model(SHAPE, build.add("Neg", NO_GATES[case](build, feature_map))))


def test_elements_that_move_at_run_time_are_a_decision_of_their_own() -> None:
    """What a Gather with computed indices makes of a mask is still 0 or 1, wherever it comes from."""
    build = Builder()
    order = build.add("ArgMax", build.conv(INPUT, 3, 4, 1, "order"), axis=1, keepdims=0)
    row = build.add("ReduceMax", build.add("Cast", order, to=onnx.TensorProto.INT32), axes=[0, 1], keepdims=0)
    moved = build.add("Gather", number_mask(build), row, axis=3)
    (gate,) = gates_of(build.model(SHAPE, build.add("Mul", build.conv(INPUT, 3, 6, 3, "conv"), moved)))
    assert gate.mask.decision.producer().op_type == "Gather"  # type: ignore[union-attr]


def test_an_operator_of_another_domain_is_no_gate() -> None:
    build = Builder()
    output = build.add("Mul", build.conv(INPUT, 3, 6, 3, "conv"), number_mask(build))
    graph = simplify(ir.from_proto(build.model(SHAPE, output))).graph
    (gate,) = find_gates(graph)
    gate.site.domain = "com.example"
    assert not find_gates(graph)
