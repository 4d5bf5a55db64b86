"""What `build` makes, verified and timed: the parts fit each other."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import lascompile
from lascompile.bench import BenchConfig, bench
from lascompile.frontend.simplify import simplify
from lascompile.verify import verify
from tests.masked_nets import Network, masked_network


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """An ONNX file and its artifact: a mask for each of two images, patches of four pixels."""
    folder = tmp_path_factory.mktemp("artifact")
    onnx.save(masked_network(batch=2), folder / "m.onnx")
    return folder / "m.onnx", lascompile.build(folder / "m.onnx", folder / "m.lasc")


def test_it_agrees_with_onnxruntime(built):
    path, artifact = built
    report = verify(artifact, path)
    assert report.failures() == []
    assert report.notes == []
    rates = {case.name: case.activation_rate for case in report.cases}
    assert (rates["masks on"], rates["masks off"]) == (1.0, 0.0)
    assert 0.1 < rates["natural-like 1"] < 0.9


@pytest.mark.parametrize("form", ["argmax", "one_minus", "where"])
def test_so_do_masks_of_another_form(form, tmp_path):
    onnx.save(masked_network(form, granularity=1, size=12, blocks=1, head=True), tmp_path / "m.onnx")
    artifact = lascompile.build(tmp_path / "m.onnx", tmp_path / "m.lasc")
    assert len(artifact.manifest.masks) == 1
    assert verify(artifact, tmp_path / "m.onnx").failures() == []


def test_it_is_timed_beside_onnxruntime(built):
    path, artifact = built
    report = bench(artifact, path, BenchConfig(("onnxruntime",), repeats=5))
    assert all(row.latency is not None for row in report.rows)
    assert set(report.activation_rates) == {"m0", "m1"}


def test_the_file_is_the_reference(tmp_path, monkeypatch):
    """Simplification that loses something is found by every case, not by a comparison of two references."""
    net = Network()
    f = net.conv("x", "stem", (3, 8), 1)
    total = net.add("ReduceSum", [net.add("Relu", [f], "positive"), net.constant("axis", [1], np.int64)], "total")
    shifted = net.add("Add", [total, net.constant("epsilon", 0.5)], "shifted")
    onnx.save(net.model(net.add("Div", [f, shifted], "y"), [1, 8, 16, 16]), tmp_path / "m.onnx")

    exact = simplify

    def careless(model):
        for node in exact(model).graph:
            if node.name == "shifted":
                node.inputs[1].const_value = ir.tensor(np.float32(0.25))
        return model

    monkeypatch.setattr("lascompile.frontend.simplify.simplify", careless)
    artifact = lascompile.build(tmp_path / "m.onnx", tmp_path / "m.lasc")
    monkeypatch.setattr("lascompile.verify.verification.simplify", careless)
    report = verify(artifact, tmp_path / "m.onnx")
    assert {case.kind for case in report.cases if not case.passed} >= {"natural", "random", "constant", "file"}


def test_a_number_is_an_output(tmp_path):
    """LASNet's own forward returns the operations it did, a tensor without axes."""
    net = Network()
    f = net.conv("x", "stem", (3, 8), 1)
    net.add("ReduceMean", [f], "flops", keepdims=0)
    model = net.model(net.add("Relu", [f], "y"), [1, 8, 16, 16])
    model.graph.output.append(onnx.helper.make_tensor_value_info("flops", onnx.TensorProto.FLOAT, []))
    onnx.save(model, tmp_path / "m.onnx")
    artifact = lascompile.build(tmp_path / "m.onnx", tmp_path / "m.lasc")
    assert verify(artifact, tmp_path / "m.onnx").failures() == []
