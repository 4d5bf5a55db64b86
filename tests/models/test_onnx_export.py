"""Files of both exporters compute what the model computes, and appear whole or not at all."""

import errno
import logging
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from lascompile.errors import UnsupportedModelError, UsageError
from lascompile.models import ResNet, ResNetConfig, create_model, export, natural_images, prepare
from lascompile.models import onnx_export as module

EVEN = {"granularity": (4, 4, 2, 1), "input_size": (64, 96)}


def calibrated(**settings):
    model = create_model("lasnet_resnet_tiny", **settings)
    prepare(model, natural_images(6, model.config.input_size, seed=3), activation_rate=0.5)
    return model


def check(path, model, batch):
    """Compare onnxruntime with torch on fresh images and on noise."""
    size = model.config.input_size
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    noise = np.random.default_rng(0).standard_normal((batch, 3, *size), dtype=np.float32)
    for x in (natural_images(batch, size, seed=1), noise):
        with torch.no_grad():
            expected = model(torch.from_numpy(x)).numpy()
        (result,) = session.run(["logits"], {"images": x})
        np.testing.assert_allclose(result, expected, atol=1e-5 * np.ptp(expected))


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
@pytest.mark.parametrize(
    ("batch", "settings"),
    [
        (2, EVEN),
        (1, {**EVEN, "granularity": (16, 8, 4, 2), "mask_channel_group": 4, "input_size": 64}),
        (2, {"granularity": (1, 1, 1, 1), "input_size": 64}),
    ],
    ids=["rectangle", "layer skipping, groups", "pixels"],
)
def test_both_exporters_agree_with_torch(tmp_path, capfd, exporter, batch, settings):
    model = calibrated(**settings)
    path = export(model, tmp_path / "m.onnx", model.config.input_size, batch, exporter)
    check(path, model, batch)
    assert capfd.readouterr() == ("", "")
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]
    graph = onnx.load(path, load_external_data=False)
    content = path.read_bytes()
    assert str(tmp_path.parent).encode() not in content
    assert str(Path(module.__file__).parent).encode() not in content
    assert not any(weight.external_data for weight in graph.graph.initializer)
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}
    assert graph.opset_import[0].version == module.EXPORTERS[exporter]


def test_uneven_patches_need_dynamo(tmp_path):
    model = calibrated(granularity=(3, 3, 3, 1), input_size=(64, 80))
    check(export(model, tmp_path / "m.onnx", (64, 80)), model, 1)
    with pytest.raises(UsageError, match=r"uneven windows, as in layer1.0.masker .*: use the dynamo exporter"):
        export(model, tmp_path / "t.onnx", (64, 80), exporter="torchscript")
    assert not (tmp_path / "t.onnx").exists()


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_a_model_in_training_is_exported_for_inference(tmp_path, exporter):
    model = calibrated(**EVEN).train()
    path = export(model, tmp_path / "m.onnx", (64, 96), exporter=exporter)
    assert not model.training
    again = export(model, tmp_path / "eval.onnx", (64, 96), exporter=exporter)
    assert again.read_bytes() == path.read_bytes()
    check(path, model, 1)


def test_basic_blocks_and_grouped_convolutions(tmp_path):
    torch.manual_seed(0)
    for kind in ("basic", "bottleneck"):
        config = ResNetConfig(kind, (2, 1), (8, 16), (2, 2), stem_width=8, groups=2, input_size=(32, 32), num_classes=5)
        model = ResNet(config)
        prepare(model, natural_images(6, 32, seed=3), activation_rate=0.5)
        check(export(model, tmp_path / "m.onnx", 32, exporter="torchscript"), model, 1)


def test_an_opset_can_be_chosen(tmp_path):
    path = export(calibrated(**EVEN), tmp_path / "m.onnx", (64, 96), exporter="torchscript", opset=13)
    assert onnx.load(path).opset_import[0].version == 13


class Hostile(torch.nn.Module):
    """No exporter knows its operator."""

    def forward(self, x):
        return torch.linalg.eig(x[0]).eigenvalues.real


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_models_that_cannot_be_expressed_are_named(tmp_path, exporter):
    with pytest.raises(UnsupportedModelError, match=f"the {exporter} exporter cannot express this model") as e:
        export(Hostile(), tmp_path / "m.onnx", 8, exporter=exporter)
    assert "\n" not in str(e.value)
    assert not list(tmp_path.iterdir())
    assert logging.root.manager.disable == logging.NOTSET


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"exporter": "onnx2"}, "unknown exporter 'onnx2': there are dynamo, torchscript"),
        ({"batch": 0}, "batch 0: must be at least 1"),
        ({"path": "missing/m.onnx"}, "missing is not a folder; make it first"),
        ({"path": "."}, "is a folder"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, settings, message):
    path = tmp_path / settings.pop("path", "m.onnx")
    with pytest.raises(UsageError, match=message):
        export(Hostile(), path, 64, **settings)


def test_weights_beyond_one_file_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LIMIT_BYTES", 1000)
    with pytest.raises(UnsupportedModelError, match="bytes: one ONNX file holds 1000"):
        export(torch.nn.Linear(100, 100), tmp_path / "m.onnx")


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    path.write_text("old")

    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left on device") as caught:
        export(calibrated(**EVEN), path, (64, 96), exporter="torchscript")
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]
