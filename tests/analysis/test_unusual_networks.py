"""Networks that no pattern would match are understood, or said not to be."""

from __future__ import annotations

import numpy as np
import pytest

from lascompile.analysis.blocks import find_blocks
from tests.analysis.interpreter import evaluate
from tests.analysis.networks import INPUT
from tests.analysis.soundness import Analysis, analyse, check_demands, check_fills
from tests.analysis.unusual import NETWORKS, SHAPE

# The demand on the output of each convolution that is not everywhere.
DEMANDS = {
    "nested": {f"layer1.{i}.conv{k}": "mask dilated by 1" if k == 1 else "mask" for i in (0, 1) for k in (1, 2)},
    "decided_in_turn": {"early": "mask", "late": "mask"},
    "two_masks": {"shared": "2 masks dilated by 1", "a": "mask", "b": "mask"},
    "two_branches": {"layer1.0.a": "mask", "layer1.0.b": "mask"},
    "two_experts": {"on": "mask"},
    "mask_before_convolution": {"conv1": "mask"},
    "squeeze_and_excite": {"conv3": "mask"},
    "product_of_masks": {"layer1.0.conv1": "mask dilated by 1", "layer1.0.conv2": "mask"},
    "shared_mask": {f"layer1.{i}.conv{k}": "mask dilated by 1" if k == 1 else "mask" for i in (0, 1) for k in (1, 2)},
    "batch_norm_behind_mask": {"conv1": "mask"},
    "channel_mask": {},
    "pooled_branch": {},
    "silu": {"conv1": "mask dilated by 1", "conv2": "mask"},
    "preactivation": {f"layer1.{i}.conv{k}": "mask dilated by 1" if k == 1 else "mask" for i in (0, 1) for k in (1, 2)},
    "activation_before_mask": {"conv1": "mask"},
    "mask_behind_sum": {"conv1": "mask"},
}


def understood(name: str) -> Analysis:
    """The analysis of a network, which holds on several images."""
    analysis = analyse(NETWORKS[name]())
    for seed in range(3):
        inputs = {INPUT: np.random.default_rng(seed).standard_normal(SHAPE, np.float32)}
        check_demands(analysis, inputs)
        check_fills(analysis, inputs)
        values = evaluate(analysis.graph, inputs)
        on = [gate.mask.active(values[gate.mask.decision]).mean() for gate in analysis.gates if gate.is_spatial]
        assert all(0 < share < 1 for share in on)
    return analysis


@pytest.mark.parametrize("name", NETWORKS)
def test_what_is_skipped(name: str) -> None:
    analysis = understood(name)
    found = {
        node.name: analysis.demands[node.outputs[0]].describe() for node in analysis.graph if node.op_type == "Conv"
    }
    assert {node: words for node, words in found.items() if words != "everywhere"} == DEMANDS[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_tell_the_same(name: str) -> None:
    analysis = analyse(NETWORKS[name]())
    blocks = find_blocks(analysis.graph, analysis.gates, analysis.demands, analysis.fills)
    told = {c.name: c.demand for b in blocks for c in b.convolutions if c.demand != "everywhere"}
    assert told == DEMANDS[name]
    assert all(block.dynamic == any(c.name in told for c in block.convolutions) for block in blocks)
    assert all(block.dynamic or block.reason for block in blocks)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_convolution_is_in_two_blocks(name: str) -> None:
    analysis = analyse(NETWORKS[name]())
    blocks = find_blocks(analysis.graph, analysis.gates, analysis.demands, analysis.fills)
    names = [convolution.name for block in blocks for convolution in block.convolutions]
    assert len(set(names)) == len(names)
    assert len(blocks) == (2 if name in ("nested", "shared_mask", "preactivation", "decided_in_turn") else 1)


def test_patches_of_a_product_are_those_of_both() -> None:
    (gate,) = analyse(NETWORKS["product_of_masks"]()).gates
    assert gate.mask.granularity == (3, 3)
    assert len(np.unique(gate.mask.patches)) == 16
