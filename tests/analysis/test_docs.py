"""The worked example of docs/analysis.md does what the page says, and its drawing is the analysis's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from lascompile.analysis.blocks import find_blocks
from lascompile.analysis.demand import Demand, find_demands
from lascompile.analysis.rules import RULES
from tests.analysis.networks import INPUT, Builder
from tests.analysis.soundness import Analysis, analyse, check_demands

Rule = Callable[[ir.Node, Demand], list[Demand]]


@pytest.fixture
def rule(root: Path) -> Rule:
    """The function that the page shows."""
    page = (root / "docs" / "analysis.md").read_text()
    found = re.search(r"<!-- tests/analysis/test_docs.py runs this -->\n```python\n(.*?)```", page, re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)
    return names["demand_on_inputs"]


def network(axis: int) -> onnx.ModelProto:
    """A masked block that normalises its branch."""
    build = Builder()
    x = build.add("Relu", build.conv(INPUT, 3, 4, 3, "stem"))
    inner = build.add("Relu", build.conv(x, 4, 4, 3, "layer1.0.conv1"))
    branch = build.add("LpNormalization", build.conv(inner, 4, 4, 3, "layer1.0.conv2"), axis=axis, name="normalize")
    pooled = build.add("AveragePool", x, kernel_shape=[4, 4], strides=[4, 4])
    decision = build.add("Greater", build.conv(pooled, 4, 1, 1, "layer1.0.masker"), build.number(0))
    mask = build.add("Cast", decision, to=onnx.TensorProto.FLOAT)
    upsampled = build.add("Resize", mask, "", "", build.ints(1, 1, 12, 12), mode="nearest")
    return build.model([1, 3, 12, 12], build.add("Add", x, build.add("Mul", branch, upsampled)))


def with_rule(analysis: Analysis, rule: Rule) -> Analysis:
    return replace(analysis, demands=find_demands(analysis.graph, analysis.gates, {**RULES, "LpNormalization": rule}))


def check(analysis: Analysis) -> None:
    """On several images, so that some patches are on and some off."""
    for seed in range(8):
        check_demands(analysis, {INPUT: np.random.default_rng(seed).standard_normal((1, 3, 12, 12), np.float32)})


def test_the_rule_makes_the_block_dynamic(rule: Rule) -> None:
    analysis = analyse(network(axis=1))
    (before,) = find_blocks(analysis.graph, analysis.gates, analysis.demands, analysis.fills)
    taught = with_rule(analysis, rule)
    (after,) = find_blocks(taught.graph, taught.gates, taught.demands, taught.fills)
    assert not before.dynamic
    assert before.reason == ("LpNormalization normalize has no transfer function, so it is taken to read every pixel")
    assert after.dynamic and after.reason is None
    check(taught)


def test_the_rule_knows_its_limits(rule: Rule) -> None:
    """A norm over the columns of a map mixes pixels."""
    taught = with_rule(analyse(network(axis=3)), rule)
    assert taught.demand("layer1.0.conv2").is_everywhere
    check(taught)


def test_the_soundness_check_finds_a_rule_that_asks_for_too_little() -> None:
    taught = with_rule(analyse(network(axis=3)), lambda node, output: [output])
    with pytest.raises(AssertionError):
        check(taught)
