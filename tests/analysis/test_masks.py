"""Which decision each pixel obeys, for masks repeated in every way."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from lascompile.analysis.gates import Gate, find_gates
from lascompile.frontend.simplify import simplify
from tests.analysis.interpreter import evaluate
from tests.analysis.networks import INPUT, Builder, Form, masked_network
from tests.analysis.soundness import passes


def gates_of(model: onnx.ModelProto) -> list[Gate]:
    return find_gates(simplify(ir.from_proto(model)).graph)


def gate_of(form: Form) -> Gate:
    (gate,) = gates_of(masked_network(form))
    return gate


def test_index_of_even_patches() -> None:
    gate = gate_of(Form(size=(4, 6), cells=(2, 2), batch=2, block="single"))
    image = np.array([[0, 0, 0, 1, 1, 1]] * 2 + [[2, 2, 2, 3, 3, 3]] * 2)
    np.testing.assert_array_equal(gate.mask.index.reshape(2, 4, 6), [image, image + 4])
    assert gate.mask.cells == (2, 2)
    assert gate.mask.granularity == (2, 3)
    assert gate.mask.groups == 1
    assert gate.mask.size == (2, 4, 6)
    assert not gate.channel_group.any()


def test_patches_of_a_width_that_the_granularity_does_not_divide() -> None:
    """Nearest upsampling reads cell floor(i * cells / size), as PyTorch's."""
    gate = gate_of(Form(size=(7, 10), cells=(3, 4), block="single"))
    rows, columns = np.arange(7) * 3 // 7, np.arange(10) * 4 // 10
    np.testing.assert_array_equal(gate.mask.index.reshape(7, 10), rows[:, None] * 4 + columns)
    assert gate.mask.cells == (3, 4)
    assert gate.mask.granularity == (3, 3)


def test_groups_rule_contiguous_channels() -> None:
    gate = gate_of(Form(mask_groups=4, size=(4, 4), cells=(2, 2), block="single"))
    assert gate.mask.groups == 4
    np.testing.assert_array_equal(gate.channel_group, [0, 0, 1, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(gate.mask.index[:, 0], [0, 4, 8, 12])


def test_groups_that_obey_the_same_decision_are_one() -> None:
    build = Builder()
    decision = build.add("Greater", build.conv(INPUT, 3, 1, 1, "masker"), build.number(0))
    mask = build.add("Expand", build.add("Cast", decision, to=onnx.TensorProto.FLOAT), build.ints(1, 8, 4, 4))
    (gate,) = gates_of(build.model([1, 3, 4, 4], build.add("Mul", build.conv(INPUT, 3, 8, 3, "conv"), mask)))
    assert gate.mask.groups == 1
    assert len(gate.channel_group) == 8


@pytest.mark.parametrize("shape", [(4, 4), (1, 4, 4), (1, 1, 4, 4), (4, 1), (1, 1)])
def test_masks_of_lower_rank_broadcast_as_in_numpy(shape: tuple[int, ...]) -> None:
    """A mask [H, W] is aligned with the last axes of the map, and [C, H, W] names channels first."""
    build = Builder()
    logits = build.add("ReduceMean", build.conv(INPUT, 3, 4, 1, "masker"), axes=[0, 1], keepdims=0)
    sized = build.add("Slice", logits, build.ints(0, 0), build.ints(*shape[-2:]), build.ints(0, 1))
    decision = build.add("Reshape", build.add("Greater", sized, build.number(0)), build.ints(*shape))
    mask = build.add("Cast", decision, to=onnx.TensorProto.FLOAT)
    model = build.model([2, 3, 4, 4], build.add("Mul", build.conv(INPUT, 3, 8, 3, "conv"), mask))
    graph = simplify(ir.from_proto(model)).graph
    (gate,) = find_gates(graph)
    values = evaluate(graph, {INPUT: np.random.default_rng(3).standard_normal((2, 3, 4, 4), np.float32)})
    output, gated = values[graph.outputs[0]], values[gate.gated]
    np.testing.assert_array_equal(output, gated * passes(gate, values[gate.mask.decision]))


def test_a_decision_for_each_channel_and_pixel() -> None:
    build = Builder()
    decision = build.add("Greater", build.conv(INPUT, 3, 6, 1, "masker"), build.number(0))
    mask = build.add("Cast", decision, to=onnx.TensorProto.FLOAT)
    (gate,) = gates_of(build.model([1, 3, 4, 4], build.add("Mul", build.conv(INPUT, 3, 6, 3, "conv"), mask)))
    assert gate.mask.groups == 6
    assert gate.is_spatial
    np.testing.assert_array_equal(gate.channel_group, np.arange(6))


@pytest.mark.parametrize(("channels", "is_spatial"), [(8, True), (9, False)])
def test_many_decisions_for_a_pixel_skip_channels_rather_than_pixels(channels: int, is_spatial: bool) -> None:
    build = Builder()
    pooled = build.add("GlobalAveragePool", INPUT)
    decision = build.add("Greater", build.conv(pooled, 3, channels, 1, "masker"), build.number(0))
    mask = build.add("Cast", decision, to=onnx.TensorProto.FLOAT)
    convolved = build.conv(INPUT, 3, channels, 3, "conv")
    (gate,) = gates_of(build.model([1, 3, 4, 4], build.add("Mul", convolved, mask)))
    assert gate.is_spatial == is_spatial


def test_the_decision_is_found_behind_negations() -> None:
    plain = gate_of(Form(decision="greater_or_equal"))
    for decision, inverted in (("greater_or_equal", False), ("not_less", True)):
        gate = gate_of(Form(decision=decision, upsampling="invert_late"))
        assert gate.mask.decision.producer().op_type in ("GreaterOrEqual", "Less")  # type: ignore[union-attr]
        assert gate.mask.inverted == inverted
        np.testing.assert_array_equal(gate.mask.index, plain.mask.index)


def test_a_comparison_of_an_upsampled_map_decides_once_a_patch() -> None:
    gate = gate_of(Form(upsampling="threshold_late", size=(8, 8), cells=(2, 2), block="single"))
    assert gate.mask.decision.shape == (1, 1, 8, 8)
    assert gate.mask.granularity == (4, 4)
    assert sorted(set(gate.mask.patches.reshape(-1))) == [0, 4, 32, 36]
    # Each pixel still obeys its own element, so that decisions which are imposed may differ within a patch.
    np.testing.assert_array_equal(gate.mask.index, [np.arange(64)])


def test_an_argmax_of_an_upsampled_map_decides_once_a_patch() -> None:
    build = Builder()
    logits = build.add("AveragePool", build.conv(INPUT, 3, 2, 1, "masker"), kernel_shape=[4, 4], strides=[4, 4])
    upsampled = build.add("Resize", logits, "", build.constant(np.array([1, 1, 4, 4], np.float32)), mode="nearest")
    mask = build.add("Cast", build.add("ArgMax", upsampled, axis=1), to=onnx.TensorProto.FLOAT)
    (gate,) = gates_of(build.model([1, 3, 8, 8], build.add("Mul", build.conv(INPUT, 3, 6, 3, "conv"), mask)))
    assert gate.mask.granularity == (4, 4)


def test_gates_that_obey_the_same_pixels_share_a_mask() -> None:
    build = Builder()
    decision = build.add("Greater", build.conv(INPUT, 3, 1, 1, "masker"), build.number(0))
    mask = build.add("Cast", decision, to=onnx.TensorProto.FLOAT)
    first = build.add("Mul", build.conv(INPUT, 3, 6, 3, "conv1"), mask)
    second = build.add("Where", decision, build.conv(first, 6, 6, 3, "conv2"), build.number(0))
    off = build.add("Sub", build.number(1), mask)
    third = build.add("Mul", build.conv(second, 6, 6, 3, "conv3"), off)
    one, two, three = gates_of(build.model([1, 3, 4, 4], third))
    assert one.mask is two.mask
    assert three.mask is not one.mask
    assert (three.mask.decision, three.mask.inverted) == (one.mask.decision, True)


def test_the_pixels_that_any_group_switches_on() -> None:
    mask = gate_of(Form(mask_groups=2, size=(2, 4), cells=(1, 2), block="single")).mask
    decision = np.array([[[[1, 0]], [[0, 0]]]], bool)
    np.testing.assert_array_equal(mask.active(decision), [[[True, True, False, False]] * 2])
