"""Artifacts with kernels for the tile unit (AMX): built anywhere, refused where there is none, right where there is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from lascompile import cpu
from lascompile.compile import build_artifact
from lascompile.errors import DeviceError
from lascompile.plan.plan import SCHEMA
from lascompile.runtime.artifact import load
from lascompile.schedules.cpu.algorithms import BF16X3
from tests.runtime.tiny import tiny_network
from tests.tile_unit import needs_tiles

pytestmark = pytest.mark.skipif(cpu.processor() != "x86_64", reason="code for x86-64 is refused for another reason")

X86 = "llvm -mtriple=x86_64-linux-gnu"


def build_for(mcpu: str, folder: Path, plan: Path | None = None) -> Path:
    model = folder / "m.onnx"
    onnx.save(tiny_network(), model)
    return build_artifact(model, folder / f"{mcpu}.lasc", target=X86, mcpu=mcpu, threads=2, plan=plan)


@pytest.fixture(scope="module")
def with_tiles(tmp_path_factory) -> Path:
    """An artifact in which the tile unit computes every convolution of the blocks, few as their channels are."""
    folder = tmp_path_factory.mktemp("tiles")
    nodes = {f"b{block}.conv{number}": "bf16x3" for block in (0, 1) for number in (1, 2)}
    plan = folder / "plan.json"
    plan.write_text(json.dumps({"schema": SCHEMA, "convolutions": nodes}))
    return build_for("sapphirerapids", folder, plan=plan)


@pytest.fixture(scope="module")
def without_tiles(tmp_path_factory) -> Path:
    return build_for("cascadelake", tmp_path_factory.mktemp("vectors"))


def labels(path: Path) -> str:
    return json.dumps(json.loads((path / "manifest.json").read_text())["steps"])


def test_both_are_built_wherever_the_compiler_runs(with_tiles, without_tiles):
    assert labels(with_tiles).count("_bf16x3") >= 4 and "_bf16x3" not in labels(without_tiles)
    tiles, vectors = (json.loads((path / "manifest.json").read_text()) for path in (with_tiles, without_tiles))
    assert set(tiles["target"]["features"]) >= BF16X3.features
    assert not set(vectors["target"]["features"]) & BF16X3.features


def test_what_does_not_use_the_unit_does_not_ask_for_it(tmp_path):
    """Built for a CPU that has it, and by exact numerics: it runs where a virtual machine hides the unit."""
    model = tmp_path / "m.onnx"
    onnx.save(tiny_network(), model)
    built = build_artifact(model, tmp_path / "m.lasc", target=X86, mcpu="sapphirerapids", threads=2, numerics="exact")
    features = set(json.loads((built / "manifest.json").read_text())["target"]["features"])
    assert "avx512f" in features and not features & cpu.TILE_FEATURES


@needs_tiles
@pytest.mark.parametrize("threads", [1, 2])
def test_both_compute_the_same(with_tiles, without_tiles, image, threads):
    tiles, vectors = load(with_tiles, threads), load(without_tiles, threads)
    expected, masks = vectors.run_with_masks(image)
    for given, actual in zip(expected, tiles.run_forced(image, masks=masks), strict=True):
        np.testing.assert_allclose(actual, given, rtol=0, atol=2e-5 * np.abs(given).max())
    first, second = tiles.run(image), tiles.run(image)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(first, second, strict=True))


def test_a_cpu_without_the_unit_refuses_it(with_tiles, monkeypatch):
    have = cpu.host_features()
    assert have is not None
    monkeypatch.setattr(cpu, "host_features", lambda: frozenset(cpu.X86_FEATURES) - cpu.TILE_FEATURES)
    with pytest.raises(DeviceError, match="was built for sapphirerapids, but this CPU lacks amx-bf16, amx-tile; build"):
        load(with_tiles, 1)


def test_a_system_that_denies_the_unit_is_one_without(with_tiles, monkeypatch, tmp_path):
    """Linux saves the tiles' registers only for processes that have asked; where it refuses, they would be killed."""
    flags = " ".join(flag for flags in cpu.X86_FEATURES.values() for flag in flags)
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(cpu, "host_features", cpu.host_features.__wrapped__)
    monkeypatch.setattr(cpu, "permit_tiles", lambda: False)
    with pytest.raises(DeviceError, match="but this CPU lacks amx-bf16, amx-tile; build it here"):
        load(with_tiles, 1)
