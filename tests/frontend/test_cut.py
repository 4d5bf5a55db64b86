"""A network in pieces computes, from its own values, its own values."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest

from lascompile.analysis.ranges import range_of
from lascompile.frontend.counterpart import model_bytes
from lascompile.frontend.cut import cut_at
from lascompile.frontend.simplify import simplify
from tests.masked_nets import FORMS, masked_network

CUTS = ["stem.relu", "b0.out"]


def run(model: ir.Model, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(model_bytes(model), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def network(form: str = "greater_or_equal") -> ir.Model:
    return simplify(ir.from_proto(masked_network(form, head=True)))


def value_of(model: ir.Model, name: str) -> ir.Value:
    return next(value for node in model.graph for value in node.outputs if value.name == name)


@pytest.mark.parametrize("form", FORMS)
def test_each_piece_computes_what_it_does_in_the_network(form: str) -> None:
    model = network(form)
    names = [*CUTS, "b1.out", "logits"]
    x = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    watched = model.clone()
    watched.graph.outputs[:] = [value_of(watched, name) for name in names]
    whole = run(watched, {"x": x})
    cut, given = cut_at(model, CUTS, names)
    assert given == {f"{name}.fed": name for name in CUTS}
    pieces = run(cut, {"x": x} | {fed: whole[name] for fed, name in given.items()})
    assert list(pieces) == names
    for name in names:
        np.testing.assert_allclose(pieces[name], whole[name], rtol=1e-5, atol=1e-6)


def test_no_piece_sees_what_another_computes() -> None:
    cut, given = cut_at(network(), CUTS, ["b0.out", "logits"])
    zeros = {fed: np.zeros((1, 8, 16, 16), np.float32) for fed in given}
    ones = zeros | {"stem.relu.fed": np.ones((1, 8, 16, 16), np.float32)}
    before, after = run(cut, zeros), run(cut, ones)
    assert (before["logits"] == after["logits"]).all()
    assert (before["b0.out"] != after["b0.out"]).any()


def test_what_no_output_needs_is_gone() -> None:
    cut, given = cut_at(network(), CUTS, ["b0.out"])
    assert given == {"stem.relu.fed": "stem.relu"}
    assert [value.name for value in cut.graph.inputs] == ["stem.relu.fed"]
    assert not {"stem", "b1.conv1"} & {node.name for node in cut.graph}


def test_the_model_stays_as_it_was() -> None:
    model = network()
    nodes = [node.name for node in model.graph]
    cut_at(model, CUTS, ["b0.out"])
    assert [node.name for node in model.graph] == nodes
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert [value.name for value in model.graph.outputs] == ["logits"]


def test_the_range_of_an_activation_stays_known() -> None:
    model = network()
    cut, _ = cut_at(model, [*CUTS, "b0.conv2"], ["b0.out", "logits"])
    (join,) = (node for node in cut.graph if node.name == "b0.sum")
    low = {range_of(value).low for value in join.inputs}
    assert low == {0.0, -np.inf}  # the residual comes from a Relu, the branch from a convolution
