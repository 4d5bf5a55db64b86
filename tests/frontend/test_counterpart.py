from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from lascompile.analysis.gates import find_gates
from lascompile.errors import UnsupportedModelError
from lascompile.frontend import counterpart
from lascompile.frontend.counterpart import model_bytes, static_counterpart
from lascompile.frontend.simplify import simplify
from tests.masked_nets import FORMS, Network, masked_network


def run(model: bytes, *arrays):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, dict(zip(names, arrays, strict=True)))


def canonical(proto: onnx.ModelProto) -> ir.Model:
    return simplify(ir.from_proto(proto))


def all_on(proto: onnx.ModelProto) -> bytes:
    """The same network with multipliers of one instead of masks, written by hand."""
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    for node in proto.graph.node:
        if node.name.endswith(".gated"):
            feature_map = node.input[0] if node.op_type == "Mul" else node.input[1]
            node.op_type = "Identity"
            node.ClearField("input")
            node.input.append(feature_map)
    return proto.SerializeToString()


@pytest.mark.parametrize("form", FORMS)
def test_it_computes_what_the_network_does_with_every_mask_on(form):
    proto = masked_network(form, batch=2, head=True)
    x = np.random.default_rng(0).standard_normal((2, 3, 16, 16)).astype(np.float32)
    static = static_counterpart(canonical(proto))
    (got,), (expected,) = run(model_bytes(static), x), run(all_on(proto), x)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert not np.allclose(got, run(proto.SerializeToString(), x)[0], atol=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_maskers_are_gone(form):
    static = static_counterpart(canonical(masked_network(form)))
    left = {node.op_type for node in static.graph}
    assert left == {"Conv", "Relu", "Add"}


def test_the_model_stays_as_it_is():
    model = canonical(masked_network())
    before = [(node.op_type, [v.name for v in node.outputs]) for node in model.graph]
    static_counterpart(model)
    assert [(node.op_type, [v.name for v in node.outputs]) for node in model.graph] == before
    assert len(find_gates(model.graph)) == 2


def test_a_map_that_two_masks_gate_one_after_the_other_passes_both():
    net = Network()
    x = net.conv("x", "stem", (3, 8), 1)
    for i in range(2):
        logit = net.conv("x", f"logit{i}", (3, 1), 1)
        mask = net.add("Greater", [logit, net.constant("zero_f", 0.0)], f"m{i}")
        x = net.add("Mul", [x, net.add("Cast", [mask], f"f{i}", to=1)], f"gated{i}")
    model = canonical(net.model(x, [1, 8, 16, 16]))
    array = np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)
    (got,) = run(model_bytes(static_counterpart(model)), array)
    weight, bias = (onnx.numpy_helper.to_array(tensor) for tensor in net.weights[:2])
    expected = np.einsum("oc,nchw->nohw", weight[:, :, 0, 0], array) + bias[:, None, None]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_gate_that_is_an_output_keeps_its_name():
    net = Network()
    f = net.conv("x", "stem", (3, 8), 1)
    decision = net.add("Greater", [net.conv("x", "logit", (3, 1), 1), net.constant("zero_f", 0.0)], "m")
    model = canonical(net.model(net.add("Mul", [f, net.add("Cast", [decision], "cast", to=1)], "y"), [1, 8, 16, 16]))
    static = static_counterpart(model)
    assert [value.name for value in static.graph.outputs] == ["y"]
    assert "Greater" not in {node.op_type for node in static.graph}
    onnx.checker.check_model(ir.to_proto(static), full_check=True)


def test_a_network_without_masks_is_its_own_counterpart():
    net = Network()
    model = canonical(net.model(net.conv("x", "stem", (3, 8), 1), [1, 8, 16, 16]))
    assert len(static_counterpart(model).graph) == 1


def test_batch_norms_behind_masks_are_folded():
    net = Network()
    f = net.conv("x", "stem", (3, 8), 1)
    decision = net.add("Greater", [net.conv("x", "logit", (3, 1), 1), net.constant("zero_f", 0.0)], "m")
    gated = net.add("Mul", [f, net.add("Cast", [decision], "cast", to=1)], "gated")
    parameters = [
        net.constant(f"bn.{name}", np.full(8, value)) for name, value in zip("sbmv", (2, 1, 0.5, 4), strict=True)
    ]
    model = canonical(net.model(net.add("BatchNormalization", [gated, *parameters], "y"), [1, 8, 16, 16]))
    assert [node.op_type for node in static_counterpart(model).graph] == ["Conv"]


def test_a_model_that_does_not_fit_one_file_is_refused(monkeypatch):
    monkeypatch.setattr(counterpart, "_PROTOBUF_LIMIT_BYTES", 1000)
    with pytest.raises(UnsupportedModelError, match="must fit the 2 GiB of one ONNX file"):
        model_bytes(canonical(masked_network()))
