"""Names of modules, as exporters write them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from lascompile.analysis.names import common_module, module_of


def conv(weight: str = "w", name: str = "node_Conv_1", scopes: str | None = None) -> ir.Node:
    constant = ir.Value(name=weight, const_value=ir.tensor(np.zeros((1, 1, 1, 1), np.float32)))
    node = ir.node("Conv", [ir.Value(name="x"), constant], name=name)
    if scopes is not None:
        node.metadata_props["pkg.torch.onnx.name_scopes"] = scopes
    return node


@pytest.mark.parametrize(
    ("node", "module"),
    [
        (conv("layer1.0.conv1.weight"), "layer1.0.conv1"),
        (conv("onnx::Conv_1084", "/layer1/layer1.0/conv1/Conv"), "layer1.0.conv1"),
        (conv("onnx::Conv_1084", "/backbone/layer1/layer1.0/conv1/Conv"), "backbone.layer1.0.conv1"),
        (conv("onnx::Conv_1084", "/layer1/layer1.0/downsample/downsample.0/Conv"), "layer1.0.downsample.0"),
        (conv(scopes="['', 'layer1', 'layer1.0', 'layer1.0.bn1', 'batch_norm_2']"), "layer1.0.bn1"),
        (conv("layer1.0.conv1.weight", scopes="['', 'layer1.0.bn1', 'batch_norm']"), "layer1.0.conv1"),
        (conv(scopes="['', 'conv2d']"), None),
        (conv(scopes="not a list"), None),
        (conv("weight"), None),
        (conv("onnx::Conv.weight", "/Conv"), None),
    ],
)
def test_module_of(node: ir.Node, module: str | None) -> None:
    assert module_of(node) == module


@pytest.mark.parametrize(
    ("modules", "common"),
    [
        (["layer1.0.conv1", "layer1.0.conv2", "layer1.0"], "layer1.0"),
        (["layer1.0.conv1", "layer1.1.conv1"], "layer1"),
        (["layer1.0.conv1"], "layer1.0"),
        (["layer1.0.conv1", "layer1.0.conv1"], "layer1.0"),
        (["conv1", "conv2"], ""),
        ([], ""),
    ],
)
def test_common_module(modules: list[str], common: str) -> None:
    assert common_module(modules) == common
