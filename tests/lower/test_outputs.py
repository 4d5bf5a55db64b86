"""What a model takes and returns: several of each, of other types, twice the same, decisions among them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.differential.harness import Compiled
from tests.differential.networks import IMAGE, Net, random_inputs

Checked = Callable[[onnx.ModelProto], Compiled]


def names_and_shapes(built: Compiled) -> list[tuple[str, tuple[int, ...], str]]:
    return [(spec.name, tuple(spec.shape), spec.dtype) for spec in built.artifact.manifest.outputs]


def test_maps_matrices_and_vectors(checked: Checked) -> None:
    net = Net()
    x = net.stem()
    pooled = net.add("GlobalAveragePool", x)
    flat = net.add("Flatten", pooled)
    wide = net.add("Reshape", x, net.ints(1, -1), name="wide")
    tall = net.add("Reshape", net.add("Reshape", x, net.ints(2, -1)), net.ints(4, 2, -1), name="tall")
    built = checked(net.network(x, pooled, flat, wide, tall))
    assert names_and_shapes(built) == [
        (x, (1, 8, 8, 8), "float32"),
        (pooled, (1, 8, 1, 1), "float32"),
        (flat, (1, 8), "float32"),
        (wide, (1, 512), "float32"),
        (tall, (4, 2, 64), "float32"),
    ]


def test_output_that_is_read_inside(checked: Checked) -> None:
    net = Net()
    x = net.stem()
    y = net.conv(x, 8, 8, 3, "inside")
    checked(net.network(y, net.relu(net.add("Add", net.conv(y, 8, 8, 1, "behind"), x)), x))


def test_input_that_is_an_output(checked: Checked) -> None:
    """Two values, since one is the caller's: the output gets another name."""
    built = checked((net := Net()).network(net.stem(), IMAGE))
    assert [spec.name for spec in built.artifact.manifest.inputs] == ["x"]
    assert names_and_shapes(built)[1] == ("x.out", (1, 3, 8, 8), "float32")


def test_integers_in_and_out(checked: Checked) -> None:
    net = Net()
    number = net.add("Add", "n", net.ints(1))
    scaled = net.add("Mul", net.stem(), net.add("Cast", number, to=TensorProto.FLOAT))
    given = ("n", TensorProto.INT64, (1,))
    built = checked(net.network(scaled, number, given, inputs=[IMAGE, given]))
    assert [spec.dtype for spec in built.artifact.manifest.inputs] == ["float32", "int64"]
    assert [spec.dtype for spec in built.artifact.manifest.outputs] == ["float32", "int64", "int64"]


def test_constant_and_repeated_outputs(checked: Checked) -> None:
    net = Net()
    x = net.stem()
    constant = net.add("Identity", net.constant(np.arange(4, dtype=np.float32)), name="constant")
    checked(net.network(x, constant, net.add("Identity", x, name="again")))


def test_outputs_that_no_input_changes(checked: Checked) -> None:
    """Shapes, what is computed from them, sums of constants, and an initialiser that is returned as it is."""
    net = Net()
    x = net.stem()
    shape = net.add("Shape", x)
    filled = net.add("ConstantOfShape", shape, value=helper.make_tensor("value", TensorProto.FLOAT, [1], [2.0]))
    total = net.add("Add", net.constant(np.ones((1, 3, 2, 2), np.float32)), net.number_of(1, 2))
    written = net.add("Constant", value_float=2.0)
    kept = (net.constant(np.eye(3, dtype=np.float32), "kept"), TensorProto.FLOAT, (3, 3))
    equal = (net.constant(np.eye(3, dtype=np.float32), "equal"), TensorProto.FLOAT, (3, 3))
    checked(net.network(shape, net.add("Size", x), filled, total, written, kept, equal, x))


def test_nothing_but_constants(checked: Checked) -> None:
    net = Net()
    checked(net.network(net.add("Add", net.number_of(1, 2), net.number(3))))


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize("axis", [-1, 1])
def test_statistics_of_a_layer_norm(axis: int, opset: int, checked: Checked) -> None:
    net = Net()
    weights = [net.constant(net.rng.standard_normal((3, 8, 8)[axis:]).astype(np.float32)) for _ in range(2)]
    net.nodes.append(
        helper.make_node("LayerNormalization", ["x", *weights], ["y", "mean", "inverse"], axis=axis, epsilon=1e-3)
    )
    net.nodes.append(helper.make_node("LayerNormalization", ["x", weights[0]], ["z", "", "other"], axis=axis))
    model = net.network("y", "mean", "inverse", "z", "other")
    model.opset_import[0].version = opset
    checked(model)


@pytest.mark.parametrize("opset", [11, 13])
def test_masks_of_dropouts(opset: int, checked: Checked) -> None:
    net = Net()
    net.nodes.append(helper.make_node("Dropout", ["x"], ["y", "mask"]))
    net.nodes.append(helper.make_node("Dropout", [net.relu("y")], ["z", "unread"]))
    model = net.network("y", "mask", "z")
    model.opset_import[0].version = opset
    checked(model)


def test_input_that_nobody_reads(checked: Checked) -> None:
    net = Net()
    built = checked(net.network(net.stem(), inputs=[IMAGE, ("unread", TensorProto.FLOAT, (2, 2))]))
    assert [spec.name for spec in built.artifact.manifest.inputs] == ["x", "unread"]


def test_decision_that_is_an_output(checked: Checked) -> None:
    """As bool, one element a patch, and as the mask, one element a pixel."""
    net = Net()
    x = net.stem()
    mask = net.mask(x, 8, "mask")
    built = checked(net.network(net.masked_block(x, 8, "block", mask), "mask:0", mask))
    assert names_and_shapes(built)[1] == ("mask:0", (1, 1, 2, 2), "bool")


def test_decision_that_is_computed_with(checked: Checked) -> None:
    """As a float map in the rows of a kernel, and under imposed decisions those that are imposed."""
    net = Net()
    x = net.stem()
    pooled = net.add("AveragePool", x, kernel_shape=[4, 4], strides=[4, 4])
    sign = net.add("Sign", net.conv(pooled, 8, 1, 1, "logits"))
    decision = net.add("Relu", sign, name="decision")
    scales = net.constant(np.array([1, 1, 4, 4], np.float32))
    mask = net.add("Resize", decision, "", scales, mode="nearest", coordinate_transformation_mode="asymmetric")
    y = net.masked_block(x, 8, "block", mask)
    checked(net.network(y, net.relu(net.add("Mul", decision, net.number(3)))))


def test_mask_that_the_caller_gives(checked: Checked) -> None:
    """One element a pixel through `Where`, and one a patch through upsampling."""
    net = Net()
    x = net.stem()
    fine = net.add("Where", "fine", net.bottleneck(x, 8, "first"), net.number(0))
    x = net.relu(net.add("Add", x, fine))
    y = net.masked_block(x, 8, "second", net.upsampled("coarse"))
    masks = [("fine", TensorProto.BOOL, (1, 1, 8, 8)), ("coarse", TensorProto.BOOL, (1, 1, 2, 2))]
    model = net.network(net.conv(y, 8, 5, 1, "head"), inputs=[IMAGE, *masks])
    built = checked(model)
    _, decisions = built.artifact.run_with_masks(*(inputs := random_inputs(model)))
    np.testing.assert_array_equal(decisions["fine"], inputs[1])
    np.testing.assert_array_equal(decisions["coarse"], inputs[2])


def test_no_operators_but_a_copy(checked: Checked) -> None:
    net = Net()
    checked(net.network(net.add("Identity", "x", name="same")))
