"""Operations, counted by hand."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from lascompile.analysis.flops import flops_of
from tests.analysis.networks import INPUT, Builder


def flops(build: Builder, output: str, shape: list[int]) -> dict[str, int]:
    model = onnx.shape_inference.infer_shapes(build.model(list(shape), output))
    return {node.op_type: flops_of(node) for node in ir.from_proto(model).graph}


def test_convolutions() -> None:
    build = Builder()
    grouped = build.conv(INPUT, 4, 8, 3, "conv", stride=2, group=2)
    weight = build.constant(np.zeros((8, 5, 2, 2), np.float32))
    output = build.add("ConvTranspose", grouped, weight, strides=[2, 2])
    counts = flops(build, output, [2, 4, 6, 6])
    assert counts["Conv"] == 2 * (2 * 8 * 3 * 3) * (2 * 3 * 3)
    assert counts["ConvTranspose"] == 2 * (2 * 8 * 3 * 3) * (5 * 2 * 2)


def test_matrix_products() -> None:
    build = Builder()
    weight = build.constant(np.zeros((7, 6), np.float32))
    hidden = build.add("Gemm", INPUT, weight, transB=1)
    output = build.add("MatMul", hidden, build.constant(np.zeros((7, 3), np.float32)))
    counts = flops(build, build.add("Relu", output), [5, 6])
    assert counts["Gemm"] == 2 * 5 * 6 * 7
    assert counts["MatMul"] == 2 * 5 * 7 * 3
    assert counts["Relu"] == 0


def test_a_transposed_input() -> None:
    build = Builder()
    output = build.add("Gemm", INPUT, build.constant(np.zeros((6, 7), np.float32)), transA=1)
    assert flops(build, output, [6, 5])["Gemm"] == 2 * 5 * 6 * 7
