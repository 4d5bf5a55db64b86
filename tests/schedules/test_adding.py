"""What docs/adding.md promises: a target is a folder and a row, an algorithm is a row and its files."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from lascompile import compile as build_module
from lascompile.compile import build
from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.backends import BACKENDS
from lascompile.target import CpuTarget, parse_target
from tests.differential.harness import Compiled
from tests.masked_nets import masked_network
from tests.schedules.toy.algorithms import ONE_BY_ONE
from tests.schedules.toy.backend import TOY, ToyTarget


@pytest.fixture
def model(tmp_path: Path) -> Path:
    onnx.save(masked_network(head=True, blocks=2, size=8), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def check(model: Path, **options: Any) -> Compiled:
    """Build it; what it computes is what onnxruntime computes, under all masks."""
    proto = onnx.load(model)
    built = Compiled(proto, build(model, threads=1, **options))
    shape = [dim.dim_value for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    built.check(np.random.default_rng(0).standard_normal(shape, np.float32))
    built.check_skips(np.ones(shape, np.float32))
    return built


def test_a_target_is_a_folder_and_a_row(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = parse_target("llvm")
    assert isinstance(here, CpuTarget)
    toy = ToyTarget(here.mcpu, here.mtriple, here.features, here.mattr)
    monkeypatch.setitem(BACKENDS, toy.kind, TOY)
    monkeypatch.setattr(build_module, "_read_target", lambda *given: toy)
    built = check(model)
    used = {step.algorithm for step in built.artifact.manifest.steps}
    assert used == {ONE_BY_ONE.name, None}


def test_an_algorithm_is_a_row(model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Plans name it, builds use it, and the manifest tells."""
    monkeypatch.setitem(BACKENDS["llvm"].algorithms, ONE_BY_ONE.name, ONE_BY_ONE)
    plan = tmp_path / "plan.json"
    plan.write_text('{"schema": 1, "convolutions": {"b0.conv2": "one_by_one"}}')
    steps = {step.node: step for step in check(model, plan=plan).artifact.manifest.steps if step.algorithm}
    assert steps["b0.conv2"].algorithm == ONE_BY_ONE.name
    assert ONE_BY_ONE.name in {candidate["algorithm"] for candidate in steps["b1.conv2"].candidates}


def test_a_row_has_no_field_that_may_be_left_out() -> None:
    with pytest.raises(TypeError, match=re.escape("missing")):
        Algorithm(name="another")  # type: ignore[call-arg]
    values = {item.name: getattr(ONE_BY_ONE, item.name) for item in fields(Algorithm)}
    for name in values:
        with pytest.raises(TypeError, match=f"'{name}'"):
            Algorithm(**{key: value for key, value in values.items() if key != name})
