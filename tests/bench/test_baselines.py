"""The baselines run what onnxruntime runs, and give the same numbers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from lascompile.bench import BASELINES
from lascompile.errors import UnsupportedModelError
from lascompile.frontend.counterpart import static_counterpart
from lascompile.frontend.simplify import simplify
from tests.masked_nets import FORMS, Network, masked_network


def run(name, model, *inputs):
    pytest.importorskip(name)
    return BASELINES[name].open(model, inputs, 1)()


def noise(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def canonical(proto):
    return simplify(ir.from_proto(proto))


def assert_same(name, model, *inputs):
    for got, expected in zip(run(name, model, *inputs), run("onnxruntime", model, *inputs), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["openvino", "torch"])
@pytest.mark.parametrize("masked", [False, True])
def test_on_a_small_network(name, masked):
    model = canonical(masked_network(batch=2, pool=True, head=True))
    assert_same(name, model if masked else static_counterpart(model), noise(2, 3, 16, 16))


@pytest.mark.parametrize("form", sorted(set(FORMS) - {"round"}))
def test_torch_takes_masks_in_many_forms(form):
    assert_same("torch", canonical(masked_network(form)), noise(1, 3, 16, 16))


@pytest.mark.parametrize("node", [
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
    ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "dilations": [2, 2]}),
    ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    ("ReduceMean", {"axes": [2, 3], "keepdims": 0}),
    ("HardSigmoid", {"alpha": 0.25}),
    ("HardSwish", {}),
    ("Transpose", {"perm": [0, 2, 3, 1]}),
    ("Sigmoid", {}),
    ("Flatten", {}),
])  # fmt: skip
def test_torch_operators_of_one_input(node):
    operator, attributes = node
    net = Network()
    assert_same("torch", canonical(net.model(net.add(operator, ["x"], "y", **attributes))), noise(1, 3, 16, 16))


@pytest.mark.parametrize("attributes", [
    {"strides": [2, 2], "pads": [0, 0, 1, 1]},
    {"dilations": [2, 2], "pads": [2, 2, 2, 2]},
    {"group": 3},
])  # fmt: skip
def test_torch_convolutions(attributes):
    net = Network()
    weight = net.constant("w", net.rng.standard_normal((6, 3 // attributes.get("group", 1), 3, 3)))
    assert_same("torch", canonical(net.model(net.add("Conv", ["x", weight], "y", **attributes))), noise(1, 3, 16, 16))


def test_torch_gemm_and_clip():
    net = Network()
    flat = net.add("Flatten", [net.add("Clip", ["x", net.constant("low", -1.0)], "clip")], "flat")
    weights = [net.constant("w", net.rng.standard_normal((4, 768))), net.constant("c", [1.0, 2.0, 3.0, 4.0])]
    output = net.add("Gemm", [flat, *weights], "y", transB=1, alpha=0.5, beta=2.0)
    got, expected = (
        run(name, canonical(net.model(output, [])), noise(1, 3, 16, 16))[0] for name in ("torch", "onnxruntime")
    )
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_torch_names_the_operator_that_it_lacks():
    net = Network()
    model = canonical(net.model(net.add("LRN", ["x"], "y", size=3)))
    with pytest.raises(UnsupportedModelError, match=r"the torch baseline has no LRN \(node 'y'\)"):
        run("torch", model, noise(1, 3, 16, 16))


@pytest.mark.parametrize(("node", "message"), [
    (("MaxPool", ["x"], {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}), "MaxPool with auto_pad"),
    (("AveragePool", ["x"], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}), "AveragePool with uneven padding"),
    (("Resize", ["x", "", "scales"], {"mode": "linear"}), "Resize of this mode"),
])  # fmt: skip
def test_torch_refuses_forms_that_it_lacks(node, message):
    operator, inputs, attributes = node
    net = Network()
    net.constant("scales", [1, 1, 2, 2])
    with pytest.raises(UnsupportedModelError, match=message):
        run("torch", canonical(net.model(net.add(operator, inputs, "y", **attributes))), noise(1, 3, 16, 16))
