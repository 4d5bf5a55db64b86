"""What `build` makes, verified and timed: the parts fit each other."""

from __future__ import annotations

import onnx
import pytest

import lascompile
from lascompile.bench import BenchConfig, bench
from lascompile.verify import verify
from tests.masked_nets import masked_network


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """An ONNX file and its artifact: a mask for each of two images, patches of four pixels."""
    folder = tmp_path_factory.mktemp("artifact")
    onnx.save(masked_network(batch=2), folder / "m.onnx")
    return folder / "m.onnx", lascompile.build(folder / "m.onnx", folder / "m.lasc")


def test_it_agrees_with_onnxruntime(built):
    path, artifact = built
    report = verify(artifact, path)
    assert report.failures() == []
    assert report.notes == []
    rates = {case.name: case.activation_rate for case in report.cases}
    assert (rates["masks on"], rates["masks off"]) == (1.0, 0.0)
    assert 0.1 < rates["natural-like 1"] < 0.9


@pytest.mark.parametrize("form", ["argmax", "one_minus", "where"])
def test_so_do_masks_of_another_form(form, tmp_path):
    onnx.save(masked_network(form, granularity=1, size=12, blocks=1, head=True), tmp_path / "m.onnx")
    artifact = lascompile.build(tmp_path / "m.onnx", tmp_path / "m.lasc")
    assert len(artifact.manifest.masks) == 1
    assert verify(artifact, tmp_path / "m.onnx").failures() == []


def test_it_is_timed_beside_onnxruntime(built):
    path, artifact = built
    report = bench(artifact, path, BenchConfig(("onnxruntime",), repeats=5))
    assert all(row.latency is not None for row in report.rows)
    assert set(report.activation_rates) == {"m0", "m1"}
