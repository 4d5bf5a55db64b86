"""Operators that cannot be compiled are refused together, each with its nodes."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from lascompile.errors import UnsupportedModelError
from lascompile.frontend.supported import check_supported
from tests.analysis.networks import INPUT, Builder

SUPPORTED = {"Conv", "Relu", "If", "Identity", "com.example::Relu"}


def graph_of(build: Builder, output: str) -> ir.Graph:
    return ir.from_proto(build.model([1, 3, 8, 8], output)).graph


def test_what_is_supported_passes() -> None:
    build = Builder()
    check_supported(graph_of(build, build.add("Relu", build.conv(INPUT, 3, 4, 3, "conv"))), SUPPORTED)


def test_all_others_are_listed_with_their_nodes() -> None:
    build = Builder()
    value = build.add("Det", INPUT, name="d")
    for number in range(5):
        value = build.add("Softsign", value, name=f"s{number}")
    custom = build.add("Relu", value, domain="com.example", name="r")
    with pytest.raises(UnsupportedModelError) as caught:
        check_supported(graph_of(build, custom), SUPPORTED)
    assert str(caught.value) == (
        "operators that are not supported: Det (d); Softsign (s0, s1, s2 and 2 more); com.example::Relu (r); "
        "write that part of the network with other operators, and export it again"
    )


def test_control_flow_is_never_supported() -> None:
    build = Builder()
    info = onnx.helper.make_tensor_value_info("t", onnx.TensorProto.FLOAT, None)
    then = onnx.helper.make_graph([onnx.helper.make_node("Relu", [INPUT], ["t"])], "then", [], [info])
    chosen = build.add("If", build.add("Relu", INPUT), then_branch=then, else_branch=then, name="maybe")
    with pytest.raises(UnsupportedModelError) as caught:
        check_supported(graph_of(build, chosen), SUPPORTED)
    assert str(caught.value) == (
        "operators that are not supported: If (maybe); "
        "export with static shapes, and without Python conditions or loops on values that are computed"
    )
