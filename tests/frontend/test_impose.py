from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from lascompile.errors import ArtifactError, UsageError
from lascompile.frontend.counterpart import model_bytes
from lascompile.frontend.impose import impose_decisions
from lascompile.frontend.simplify import simplify
from tests.masked_nets import FORMS, Network, masked_network


def run(model: bytes, feeds):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def with_outputs(proto: onnx.ModelProto, *names: str) -> bytes:
    proto = onnx.ModelProto.FromString(proto.SerializeToString())
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return proto.SerializeToString()


def noise(*shape):
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


@pytest.fixture(params=FORMS)
def imposed(request):
    """A network, its decisions imposed, and what it computes on its own."""
    proto = masked_network(request.param, batch=2)
    x = noise(2, 3, 16, 16)
    network = impose_decisions(simplify(ir.from_proto(proto)))
    return network, run(with_outputs(proto, *network.decisions), {"x": x}), x


def test_its_own_decisions_imposed_change_nothing(imposed):
    network, free, x = imposed
    own = {name: free[name] for name in network.decisions}
    assert len(own) == 2
    got = run(model_bytes(network.model), {"x": x, **own})
    np.testing.assert_array_equal(got["b1.out"], free["b1.out"])
    for name, decision in network.decisions.items():
        np.testing.assert_array_equal(got[decision.computed], own[name])


def test_a_flipped_decision_changes_the_output_and_is_told_from_the_computed_one(imposed):
    network, free, x = imposed
    flipped = {name: np.logical_not(free[name]).astype(free[name].dtype) for name in network.decisions}
    first = next(iter(flipped))
    got = run(model_bytes(network.model), {"x": x, **flipped})
    assert not np.allclose(got["b1.out"], free["b1.out"], atol=1e-3)
    np.testing.assert_array_equal(got[network.decisions[first].computed], free[first])


def test_the_margin_is_above_zero_where_the_decision_is_on(imposed):
    network, free, x = imposed
    own = {name: free[name] for name in network.decisions}
    got = run(model_bytes(network.model), {"x": x, **own})
    for name, decision in network.decisions.items():
        margin, size = got[decision.margin], got[decision.size]
        assert margin.shape == size.shape == decision.shape == own[name].shape
        np.testing.assert_array_equal(margin > 0, own[name] != 0)
        assert (size > 0).all()
        assert (np.abs(margin) <= size * (1 + 1e-5)).all()


def test_the_margin_is_the_difference_of_the_logits():
    proto = masked_network()
    network = impose_decisions(simplify(ir.from_proto(proto)))
    x = noise(1, 3, 16, 16)
    free = run(with_outputs(proto, "m0", "m1", "b0.on", "b0.off"), {"x": x})
    got = run(model_bytes(network.model), {"x": x, "m0": free["m0"], "m1": free["m1"]})
    np.testing.assert_allclose(got[network.decisions["m0"].margin], free["b0.on"] - free["b0.off"], atol=1e-6)


def test_the_size_counts_the_terms_that_cancel():
    """A logit of 1000 - 999.99… is small, but its rounding is that of 1000."""
    net = Network()
    f = net.conv("x", "stem", (3, 8), 1)
    weight = net.constant("w", np.full((1, 3, 1, 1), 1000.0))
    bias = net.constant("b", [-3000.0])
    logit = net.add("Conv", ["x", weight, bias], "logit")
    decision = net.add("Greater", [logit, net.constant("zero_f", 0.0)], "m")
    proto = net.model(net.add("Mul", [f, net.add("Cast", [decision], "cast", to=1)], "y"), [1, 8, 16, 16])
    network = impose_decisions(simplify(ir.from_proto(proto)))
    x = np.full((1, 3, 16, 16), 1.001, np.float32)
    got = run(model_bytes(network.model), {"x": x, "m": np.ones((1, 1, 16, 16), bool)})
    np.testing.assert_allclose(got["m.margin"], 3.0, rtol=1e-3)
    np.testing.assert_allclose(got["m.size"], 6003.0, rtol=1e-3)


def test_an_and_is_as_close_as_what_would_switch_it():
    net = Network()
    f = net.conv("x", "stem", (3, 8), 1)
    threshold = [net.constant(f"t{i}", t) for i, t in enumerate((1.0, 10.0))]
    parts = [net.add("Slice", ["x", *_bounds(net, i)], f"x{i}") for i in range(2)]
    on = [net.add("Greater", pair, f"g{i}") for i, pair in enumerate(zip(parts, threshold, strict=True))]
    decision = net.add("And", on, "m")
    proto = net.model(net.add("Mul", [f, net.add("Cast", [decision], "cast", to=1)], "y"), [1, 8, 16, 16])
    network = impose_decisions(simplify(ir.from_proto(proto)))
    x = np.zeros((1, 3, 16, 16), np.float32)
    x[0, 0], x[0, 1] = 1.001, 4.0  # the first is barely on, the second off by far: the whole is off by far
    got = run(model_bytes(network.model), {"x": x, "m": np.zeros((1, 1, 16, 16), bool)})
    np.testing.assert_allclose(got["m.margin"], -6.0)


def _bounds(net, channel):
    return [
        net.constant(f"{what}{channel}", [value], np.int64)
        for what, value in (("start", channel), ("end", channel + 1), ("axis", 1))
    ]


def test_a_decision_of_another_kind_has_no_margin():
    net = Network()
    f = net.conv("x", "stem", (3, 8), 1)
    decision = net.add("IsNaN", [net.conv("x", "logit", (3, 1), 1)], "m")
    proto = net.model(net.add("Mul", [f, net.add("Cast", [decision], "cast", to=1)], "y"), [1, 8, 16, 16])
    network = impose_decisions(simplify(ir.from_proto(proto)))
    assert network.decisions["m"].margin is None
    assert network.decisions["m"].size is None
    assert [value.name for value in network.model.graph.outputs] == ["y", "m.computed"]


def test_only_the_decisions_asked_for_become_inputs():
    model = simplify(ir.from_proto(masked_network()))
    network = impose_decisions(model, ["m1"])
    assert [value.name for value in network.model.graph.inputs] == ["x", "m1"]
    assert [value.name for value in model.graph.inputs] == ["x"]


def test_a_decision_that_is_an_output_becomes_the_given_one():
    proto = masked_network(blocks=1)
    proto.graph.output.append(onnx.helper.make_tensor_value_info("m0", onnx.TensorProto.BOOL, [1, 1, 4, 4]))
    network = impose_decisions(simplify(ir.from_proto(proto)))
    given = np.random.default_rng(0).random((1, 1, 4, 4)) < 0.5
    got = run(model_bytes(network.model), {"x": noise(1, 3, 16, 16), "m0": given})
    np.testing.assert_array_equal(list(got.values())[1], given)


def test_a_name_that_is_no_decision_is_refused():
    model = simplify(ir.from_proto(masked_network()))
    with pytest.raises(UsageError, match="'m7' is not a decision of the model, which takes m0, m1"):
        impose_decisions(model, ["m7"])


def test_a_mask_takes_the_shape_and_type_of_the_decision():
    decision = impose_decisions(simplify(ir.from_proto(masked_network("argmax")))).decisions["m0"]
    patches = np.eye(4, dtype=bool).reshape(1, 1, 4, 4)
    taken = decision.from_mask(patches)
    assert (taken.dtype, taken.shape) == (np.int64, (1, 1, 4, 4))
    assert decision.activation_rate(taken) == 0.25
    with pytest.raises(ArtifactError, match="'m0' has 4 elements in the artifact, but the model takes 16 decisions"):
        decision.from_mask(patches[..., 0])


def test_an_inverted_mask_is_active_where_the_decision_is_off():
    net = Network()
    f = net.conv("x", "stem", (3, 8), 1)
    decision = net.add("Greater", [net.conv("x", "logit", (3, 1), 1), net.constant("zero_f", 0.0)], "m")
    output = net.add("Where", [decision, net.constant("zero_f", 0.0), f], "y")
    decision = impose_decisions(simplify(ir.from_proto(net.model(output, [1, 8, 16, 16])))).decisions["m"]
    assert decision.activation_rate(np.zeros((1, 1, 16, 16), bool)) == 1.0
