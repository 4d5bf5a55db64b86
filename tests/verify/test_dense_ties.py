"""Ties among decisions that an artifact does not tell."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from lascompile.frontend.impose import impose_decisions
from lascompile.frontend.simplify import simplify
from lascompile.verify.compare import TIE_TOLERANCE
from lascompile.verify.dense_ties import DenseTies
from lascompile.verify.reference import Reference
from lascompile.verify.runs import Run
from tests.masked_nets import Network


def channel_masked(difference: float) -> onnx.ModelProto:
    """A decision a channel, whose logits are 1 + `difference` and are compared with 1."""
    net = Network()
    f = net.conv("x", "stem", (3, 12), 3)
    means = net.add("GlobalAveragePool", [net.add("Sigmoid", ["x"], "shares")], "means")
    weight = net.constant("w", np.zeros((12, 3, 1, 1)))
    logits = net.add("Conv", [means, weight, net.constant("b", np.full(12, 1 + difference))], "logits")
    decision = net.add("GreaterOrEqual", [logits, net.constant("unit", 1.0)], "m0")
    gated = net.add("Mul", [f, net.add("Cast", [decision], "cast", to=1)], "gated")
    return net.model(net.add("Relu", [gated], "y"), [1, 12, 16, 16])


@pytest.mark.parametrize(("difference", "is_tie"), [(1e-7, True), (1e-2, False)])
def test_ties_are_tried_the_other_way(difference: float, is_tie: bool) -> None:
    model = simplify(ir.from_proto(channel_masked(difference)))
    x = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    taken = np.ones((1, 12, 1, 1), bool)
    taken[0, [2, 7]] = False
    reference = Reference(impose_decisions(model).model, 1, 1)
    outputs = reference.run([x], {"m0": taken}).outputs
    run = Run("natural-like 1", "natural", [x], outputs, {})
    settled = DenseTies(model, [], TIE_TOLERANCE, threads=1).settle(run)
    assert (settled is not None) == is_tie
    if settled is not None:
        outcome, ties = settled
        np.testing.assert_array_equal(outcome.outputs[0], outputs[0])
        assert [(tie.mask, tie.element) for tie in ties] == [("m0", 2), ("m0", 7)]


def test_without_dense_masks_there_is_nothing_to_settle() -> None:
    model = simplify(ir.from_proto(channel_masked(1e-7)))
    run = Run("natural-like 1", "natural", [], [], {})
    assert DenseTies(model, ["m0"], TIE_TOLERANCE, threads=1).settle(run) is None
