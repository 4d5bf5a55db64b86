"""Every operator that is said to be supported, against onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from lascompile.analysis.facts import operator
from lascompile.compile import build
from lascompile.errors import UnsupportedModelError
from lascompile.frontend.simplify import simplify
from lascompile.lower.supported import SUPPORTED
from tests.differential.harness import compiled, session_of
from tests.differential.networks import Net, random_inputs
from tests.lower.operators import FAMILIES, Family


def model_of(family: Family) -> onnx.ModelProto:
    """One output for each expression, called as it is."""
    net = Net()
    for name, expression in family.expressions.items():
        net.nodes.append(onnx.helper.make_node("Identity", [expression(net)], [name], name))
    model = net.network(*family.expressions, inputs=family.inputs)
    model.opset_import[0].version = family.opset
    model.ir_version = 10
    return model


@pytest.mark.parametrize("name", FAMILIES)
def test_operators(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    model = model_of(family)
    given = {value.name: array for value, array in zip(model.graph.input, random_inputs(model), strict=True)}
    given.update(family.values)
    compiled(model, tmp_path).check_free(*given.values())


EDGES = np.array([np.nan, -np.nan, np.inf, -np.inf, 0, -0.0, 1, -1, 1e38, -1e38, 2.5, -2.5, 0.5], np.float32)


def test_numbers_at_the_edges(tmp_path: Path) -> None:
    """Of anything but feature maps, which kernels of our own serve: NaN, infinities, halves, NaN to every operator."""
    net = Net()
    functions = (
        "Abs Ceil Elu Erf Exp Floor HardSigmoid HardSwish IsInf IsNaN LeakyRelu Neg Relu Round Selu Sigmoid Sign Sqrt "
        "Tanh"
    )
    outputs = [net.add(function, "x") for function in functions.split()]
    for function in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "Max", "Min"):
        outputs += [net.add(function, "x", net.number(0.5)), net.add(function, net.number(0.5), "x")]
    outputs += [net.add("Clip", "x", low, high) for low in ("", net.number(-2)) for high in ("", net.number(2))]
    outputs.append(net.add("Cast", "x", to=onnx.TensorProto.BOOL))
    model = net.network(*outputs, inputs=[("x", onnx.TensorProto.FLOAT, EDGES.shape)])
    built = compiled(model, tmp_path)
    expected = session_of(model).run(None, {"x": EDGES})
    for got, reference, name in zip(built.artifact.run(EDGES), expected, outputs, strict=True):
        np.testing.assert_allclose(got, reference, rtol=1e-6, atol=1e-7, equal_nan=True, err_msg=name)


def test_every_supported_operator_is_tested() -> None:
    """As the file has it or as simplification leaves it."""
    models = [model_of(family) for family in FAMILIES.values()]
    written = {node.op_type for model in models for node in model.graph.node}
    left = {operator(node) for model in models for node in simplify(ir.from_proto(model)).graph}
    assert left - SUPPORTED == set()
    assert SUPPORTED - left - written == set()


def test_all_unsupported_operators_are_named(tmp_path: Path) -> None:
    net = Net()
    x = net.add("Celu", net.stem(), name="celu1")
    x = net.add("CumSum", net.add("Celu", x, name="celu2"), net.ints(1), name="cumsum")
    onnx.save(net.network(x), tmp_path / "model.onnx")
    with pytest.raises(UnsupportedModelError) as caught:
        build(tmp_path / "model.onnx")
    assert str(caught.value) == (
        "operators that are not supported: Celu (celu1, celu2); CumSum (cumsum); "
        "write that part of the network with other operators, and export it again"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_form_that_tvm_refuses(tmp_path: Path) -> None:
    """A supported operator in a form that TVM does not translate is named with TVM's reason."""
    net = Net()
    net.nodes.append(onnx.helper.make_node("MaxPool", ["x"], ["values", "indices"], "pool", kernel_shape=[2, 2]))
    onnx.save(net.network("values", "indices"), tmp_path / "model.onnx")
    says = r"^pool \(MaxPool\) is not compiled: TVM cannot translate it: Missing outputs"
    with pytest.raises(UnsupportedModelError, match=says):
        build(tmp_path / "model.onnx")
