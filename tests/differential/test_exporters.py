"""LASNets as both of PyTorch's exporters write them, on images, against onnxruntime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from lascompile.models import ResNet, ResNetConfig, export, natural_images, prepare
from lascompile.models.initialize import initialize
from lascompile.models.onnx_export import Exporter
from tests.differential.harness import compiled

BASE = ResNetConfig(
    "bottleneck", depths=(1, 2), widths=(8, 12), granularity=(4, 2), input_size=(48, 48), stem_width=8, num_classes=5
)
NETWORKS: dict[str, tuple[Exporter, int, ResNetConfig]] = {
    "torchscript, batch": ("torchscript", 2, BASE),
    "torchscript, pixels, mask groups": ("torchscript", 1, replace(BASE, granularity=(1, 1), mask_channel_group=2)),
    "torchscript, basic, rectangle": (
        "torchscript",
        1,
        replace(BASE, block="basic", widths=(16, 24), granularity=(8, 4), input_size=(64, 96)),
    ),
    "dynamo, uneven patches": ("dynamo", 3, replace(BASE, granularity=(5, 4), input_size=(52, 76))),
    "dynamo, layer skipping, groups": (
        "dynamo",
        2,
        replace(BASE, granularity=(12, 6), groups=4, mask_channel_group=2),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_exported_networks(name: str, tmp_path: Path) -> None:
    exporter, batch, config = NETWORKS[name]
    model = ResNet(config)
    initialize(model, seed=0)
    model.eval()
    prepare(model, natural_images(6, config.input_size, seed=3), activation_rate=0.5)
    path = export(model, tmp_path / "m.onnx", config.input_size, batch, exporter)
    built = compiled(onnx.load(path), tmp_path)
    images = natural_images(batch, config.input_size, seed=1)
    built.check(images)
    built.check_skips(images)
    blocks = built.artifact.manifest.blocks
    assert [block["name"] for block in blocks] == ["layer1.0", "layer2.0", "layer2.1"]
    assert all(block["dynamic"] and block["reason"] is None for block in blocks)
