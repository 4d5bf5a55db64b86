"""The canonical form: what is folded into what, and that nothing else changes."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper

from lascompile.frontend.simplify import simplify
from tests.analysis.networks import INPUT, Builder, Form, masked_network, random_input

SHAPE = (2, 3, 8, 8)


def run(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {INPUT: x})


def simplified(model: onnx.ModelProto, x: np.ndarray | None = None) -> ir.Graph:
    """The graph, after a check that it still computes what the model does, and keeps doing so if done again."""
    x = np.random.default_rng(0).standard_normal(SHAPE, np.float32) if x is None else x
    expected = run(model, x)
    result = simplify(ir.from_proto(model))
    for _ in range(2):
        for got, wanted in zip(run(ir.to_proto(result), x), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-6 * max(1, np.ptp(wanted)))
        assert [value.name for value in result.graph.outputs] == [value.name for value in model.graph.output]
        result = simplify(result)
    return result.graph


def operators(graph: ir.Graph) -> list[str]:
    return [node.op_type for node in graph]


def build_and_simplify(add: Callable[[Builder], str]) -> ir.Graph:
    build = Builder()
    return simplified(build.model(SHAPE, add(build)))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("block", ["bottleneck", "basic"])
def test_masked_networks_compute_the_same(block: str, batch_norm: bool, stride: int) -> None:
    form = Form(block=block, batch_norm=batch_norm, stride=stride, batch=2, conv_groups=2, mask_groups=2)
    graph = simplified(masked_network(form), random_input(form))
    assert not {"BatchNormalization", "Identity", "Shape", "Constant", "ConstantOfShape"} & set(operators(graph))
    assert operators(graph).count("Mul") == 1


def test_nodes_keep_their_names() -> None:
    graph = simplified(masked_network(Form(batch_norm=True)), random_input(Form()))
    names = [node.name for node in graph if node.op_type == "Conv"]
    assert names == [
        *("stem", "layer1.0.conv1", "layer1.0.conv2", "layer1.0.conv3", "layer1.0.masker.conv2", "head"),
    ]


def test_nodes_without_names_get_one_each() -> None:
    model = masked_network(Form())
    for node in model.graph.node:
        node.name = ""
    names = [node.name for node in simplified(model, random_input(Form()))]
    assert len(set(names)) == len(names)
    assert all(names)


def test_names_that_two_nodes_share_are_told_apart() -> None:
    model = masked_network(Form())
    for node in model.graph.node:
        node.name = "same"
    names = [node.name for node in simplify(ir.from_proto(model)).graph]
    assert len(set(names)) == len(names)
    assert names[0] == "same"


def test_weights_keep_their_names() -> None:
    graph = simplified(masked_network(Form(batch_norm=True)), random_input(Form()))
    weights = [node.inputs[1].name for node in graph if node.op_type == "Conv" and node.inputs[1] is not None]
    assert "layer1.0.conv1.weight" in weights


def behind_mask(build: Builder) -> str:
    mask = build.add("Cast", build.add("Greater", INPUT, build.number(0)), to=TensorProto.FLOAT)
    return build.batch_norm(build.add("Mul", build.conv(INPUT, 3, 3, 3, "conv"), mask), 3, "bn")


def two_readers(build: Builder) -> str:
    convolved = build.conv(INPUT, 3, 3, 3, "conv")
    return build.add("Add", build.batch_norm(convolved, 3, "bn"), convolved)


def transposed(build: Builder) -> str:
    weight = build.constant(np.ones((3, 4, 2, 2), np.float32))
    return build.batch_norm(build.add("ConvTranspose", INPUT, weight, strides=[2, 2]), 4, "bn")


def of_rows(build: Builder) -> str:
    rows = build.add("Flatten", build.add("GlobalAveragePool", INPUT))
    return build.batch_norm(rows, 3, "bn")


@pytest.mark.parametrize("add", [behind_mask, two_readers, transposed, of_rows])
def test_a_batch_norm_that_folds_into_nothing_is_a_product_and_a_sum(add: Callable[[Builder], str]) -> None:
    graph = build_and_simplify(add)
    assert "BatchNormalization" not in operators(graph)
    by_name = {node.name: node.op_type for node in graph}
    assert (by_name["bn.mul"], by_name["bn"]) == ("Mul", "Add")


def test_weights_that_two_convolutions_share_are_folded_apart() -> None:
    build = Builder()
    one = build.conv(INPUT, 3, 3, 3, "conv")
    build.nodes[-1].input[0] = INPUT
    other = build.add("Conv", INPUT, *build.nodes[-1].input[1:], name="other", pads=[1] * 4)
    output = build.add("Add", build.batch_norm(one, 3, "bn1"), build.batch_norm(other, 3, "bn2"))
    assert sorted(operators(simplified(build.model(SHAPE, output)))) == ["Add", "Conv", "Conv"]


FOLDED: dict[str, Callable[[Builder, str], str]] = {
    "scale": lambda b, f: b.add("Mul", f, b.constant(np.arange(1, 7, dtype=np.float32).reshape(1, 6, 1, 1))),
    "number": lambda b, f: b.add("Mul", b.number(0.5), f),
    "shift": lambda b, f: b.add("Add", b.constant(np.arange(6, dtype=np.float32).reshape(6, 1, 1)), f),
    "difference": lambda b, f: b.add("Sub", f, b.number(2)),
    "reversed difference": lambda b, f: b.add("Sub", b.number(2), f),
    "quotient": lambda b, f: b.add("Div", f, b.constant(np.arange(1, 7, dtype=np.float32).reshape(1, 6, 1, 1))),
    "several": lambda b, f: b.add("Mul", b.add("Add", b.add("Mul", f, b.number(3)), b.number(1)), b.number(0.1)),
    "padding before": lambda b, f: b.conv(b.add("Pad", f, b.ints(0, 0, 1, 1, 0, 0, 2, 2)), 6, 4, 3, "second"),
    "identities": lambda b, f: b.add("Identity", b.add("Identity", f)),
    "dropout": lambda b, f: b.add("Dropout", f),
    "a product with 1": lambda b, f: b.add("Mul", f, b.number(1)),
}


@pytest.mark.parametrize("case", FOLDED)
def test_what_folds_into_a_convolution(case: str) -> None:
    graph = build_and_simplify(lambda build: FOLDED[case](build, build.conv(INPUT, 3, 6, 3, "conv", bias=0.5)))
    assert set(operators(graph)) == {"Conv"}


KEPT: dict[str, Callable[[Builder, str], str]] = {
    "a number for each pixel": lambda b, f: b.add(
        "Mul", f, b.constant(np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8))
    ),
    "a computed factor": lambda b, f: b.add("Mul", f, b.add("GlobalAveragePool", f)),
    "a reciprocal": lambda b, f: b.add("Div", b.number(2), b.add("Exp", f)),
    "the square": lambda b, f: b.add("Mul", f, f),
    "a reader besides": lambda b, f: b.add("Relu", b.add("Add", f, b.add("Mul", f, b.number(2)))),
}


@pytest.mark.parametrize("case", KEPT)
def test_what_does_not(case: str) -> None:
    graph = build_and_simplify(lambda build: KEPT[case](build, build.conv(INPUT, 3, 6, 3, "conv")))
    assert len(operators(graph)) > 1


def test_a_wider_constant_is_not_folded() -> None:
    """One channel times six numbers makes six channels."""
    scale = np.arange(1, 7, dtype=np.float32).reshape(1, 6, 1, 1)
    graph = build_and_simplify(lambda b: b.add("Mul", b.conv(INPUT, 3, 1, 3, "conv"), b.constant(scale)))
    assert operators(graph) == ["Conv", "Mul"]


def test_a_convolution_that_is_an_output_is_not_changed() -> None:
    build = Builder()
    convolved = build.conv(INPUT, 3, 6, 3, "conv")
    model = build.model(SHAPE, build.add("Mul", convolved, build.number(2)))
    model.graph.output.append(helper.make_tensor_value_info(convolved, TensorProto.FLOAT, None))
    assert operators(simplified(model)) == ["Conv", "Mul"]


def test_computed_weights_are_left_alone() -> None:
    build = Builder()
    weight = build.add("Reshape", build.add("ReduceMean", INPUT, axes=[0], keepdims=1), build.ints(3, 1, 8, 8))
    convolved = build.add("Conv", INPUT, weight, group=3, pads=[4, 4, 3, 3])
    assert "Mul" in operators(simplified(build.model(SHAPE, build.add("Mul", convolved, build.number(2)))))


def test_shape_arithmetic_is_folded() -> None:
    build = Builder()
    shape = build.add("Shape", INPUT)
    ones = build.add("ConstantOfShape", shape, value=helper.make_tensor("v", TensorProto.FLOAT, [1], [2.0]))
    expanded = build.add("Expand", build.number(1), build.add("Shape", INPUT))
    graph = simplified(build.model(SHAPE, build.add("Add", build.add("Mul", INPUT, ones), expanded)))
    assert operators(graph) == ["Mul", "Add"]


def test_functions_are_inlined() -> None:
    body = [helper.make_node("Relu", ["a"], ["b"])]
    opset = [helper.make_opsetid("", 17)]
    function = helper.make_function("local", "Activation", ["a"], ["b"], body, opset)
    build = Builder()
    output = build.add("Activation", build.conv(INPUT, 3, 4, 3, "conv"), domain="local")
    model = build.model(SHAPE, output)
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("local", 1))
    assert operators(simplified(model)) == ["Conv", "Relu"]


def test_a_condition_that_is_constant_is_decided() -> None:
    build = Builder()
    info = helper.make_tensor_value_info("t", TensorProto.FLOAT, SHAPE)
    then = helper.make_graph([helper.make_node("Neg", [INPUT], ["t"])], "then", [], [info])
    otherwise = helper.make_graph([helper.make_node("Abs", [INPUT], ["t"])], "else", [], [info])
    chosen = build.add("If", build.constant(np.array(True)), then_branch=then, else_branch=otherwise)
    assert operators(simplified(build.model(SHAPE, build.add("Relu", chosen)))) == ["Neg", "Relu"]


def test_what_nothing_reads_is_gone() -> None:
    build = Builder()
    output = build.add("Relu", INPUT)
    build.conv(INPUT, 3, 4, 3, "unread")
    graph = simplified(build.model(SHAPE, output))
    assert operators(graph) == ["Relu"]
    assert not graph.initializers


def test_the_loggers_of_libraries_are_left_as_they_were(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("onnxscript")
    before = logger.level
    with caplog.at_level(logging.DEBUG):
        simplified(masked_network(Form()), random_input(Form()))
    assert logger.level == before
    assert not [record for record in caplog.records if record.name.startswith("onnxscript")]


def test_sums_and_extremes_of_several_are_pairs() -> None:
    """In the order of the operands, the last one under the name of the node."""
    build = Builder()
    parts = [build.add("Relu", INPUT), build.add("Neg", INPUT), build.add("Tanh", INPUT)]
    total = build.add("Sum", *parts, name="total")
    largest = build.add("Max", total, parts[0], parts[1], name="largest")
    graph = simplified(build.model(SHAPE, build.add("Min", build.add("Sum", largest, parts[2]), parts[1])))
    names = [(node.op_type, node.name) for node in graph if node.op_type in ("Add", "Max", "Min", "Sum")]
    assert [op for op, _ in names] == ["Add", "Add", "Max", "Max", "Add", "Min"]
    assert [name for _, name in names[1:4]] == ["total", "largest.1", "largest"]
