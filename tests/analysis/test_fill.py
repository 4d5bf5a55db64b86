"""What values are where their masks are off."""

from __future__ import annotations

import onnx
import pytest

from lascompile.analysis.fill import Fill
from tests.analysis.networks import INPUT, Builder, Form, masked_network, random_input
from tests.analysis.soundness import Analysis, analyse, check_fills


def fill_of(analysis: Analysis, operator: str, place: int = -1) -> Fill | None:
    """The fill of the output of the last (or another) node of one operator."""
    node = [node for node in analysis.graph if node.op_type == operator][place]
    return analysis.fills.get(node.outputs[0])


def test_a_product_with_a_mask_is_zero() -> None:
    fill = fill_of(analyse(masked_network(Form())), "Mul")
    assert fill is not None and fill.is_zero and fill.is_base


def test_a_sum_is_the_residual() -> None:
    analysis = analyse(masked_network(Form()))
    fill = fill_of(analysis, "Add")
    assert fill is not None and fill.base is not None
    assert (fill.base.name, fill.then, fill.is_zero) == ("Relu_1:0", (), False)


def test_an_activation_of_what_is_never_negative_changes_nothing() -> None:
    fill = fill_of(analyse(masked_network(Form())), "Relu")
    assert fill is not None and fill.is_base and [node.op_type for node in fill.then] == ["Relu"]


def test_an_activation_of_a_downsampled_residual_does() -> None:
    fill = fill_of(analyse(masked_network(Form(stride=2))), "Relu")
    assert fill is not None and not fill.is_base
    assert fill.base is not None and fill.base.name == "layer1.0.downsample.0:0"


def test_a_choice_is_the_other_branch() -> None:
    fill = fill_of(analyse(masked_network(Form(gate="select_sum"))), "Where")
    assert fill is not None and fill.base is not None and fill.base.name == "Relu_1:0"


def masked(build: Builder) -> str:
    decision = build.add("Greater", build.conv(INPUT, 3, 1, 1, "masker"), build.number(0))
    mask = build.add("Cast", decision, to=onnx.TensorProto.FLOAT)
    return build.add("Mul", build.conv(INPUT, 3, 4, 3, "conv"), mask)


def analyse_output(build: Builder, output: str) -> Analysis:
    analysis = analyse(build.model([1, 3, 8, 8], output))
    check_fills(analysis, {INPUT: random_input(Form(size=(8, 8)))})
    return analysis


def test_what_an_activation_makes_of_zero() -> None:
    for operator, is_zero in (("Relu", True), ("Abs", True), ("Sigmoid", False), ("Tanh", False)):
        build = Builder()
        fill = fill_of(analyse_output(build, build.add(operator, masked(build))), operator)
        assert fill is not None and fill.base is None
        assert fill.is_zero == is_zero


def test_zero_behind_an_activation_still_leaves_the_residual() -> None:
    build = Builder()
    residual = build.add("Relu", build.conv(INPUT, 3, 4, 1, "residual"))
    analysis = analyse_output(build, build.add("Add", build.add("Relu", masked(build)), residual))
    fill = fill_of(analysis, "Add")
    assert fill is not None and fill.base is not None and fill.base.name == residual


@pytest.mark.parametrize(("low", "high", "keeps"), [(0, 6, True), (-1, 7, True), (1, 6, False), (0, 5, False)])
def test_clipping_what_is_within_the_bounds_changes_nothing(low: float, high: float, keeps: bool) -> None:
    build = Builder()
    residual = build.add("Clip", build.conv(INPUT, 3, 4, 1, "residual"), build.number(0), build.number(6))
    total = build.add("Add", masked(build), residual)
    analysis = analyse_output(build, build.add("Clip", total, build.number(low), build.number(high)))
    fill = fill_of(analysis, "Clip")
    assert fill is not None and fill.is_base == keeps


def test_a_sum_with_a_smaller_map_has_no_fill() -> None:
    build = Builder()
    pooled = build.add("GlobalAveragePool", build.conv(INPUT, 3, 4, 1, "residual"))
    analysis = analyse_output(build, build.add("Add", masked(build), pooled))
    assert fill_of(analysis, "Add") is None


def test_a_convolution_of_a_masked_map_has_no_fill() -> None:
    build = Builder()
    analysis = analyse_output(build, build.conv(masked(build), 4, 4, 3, "behind"))
    assert fill_of(analysis, "Conv") is None
