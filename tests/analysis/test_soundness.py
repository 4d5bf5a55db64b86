"""Demands and fills of generated networks hold when the networks run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lascompile.analysis.demand import Demand
from tests.analysis.networks import DECISIONS, GATES, INPUT, UPSAMPLINGS, Form, masked_network, random_input
from tests.analysis.soundness import analyse, check_demands, check_fills


@st.composite
def forms(draw: st.DrawFn) -> Form:
    """Every way to write a mask, on blocks of every kind, sizes that divide and sizes that do not."""
    upsampling = draw(st.sampled_from(UPSAMPLINGS))
    stride = draw(st.sampled_from((1, 1, 2)))
    cells = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    if upsampling == "expand":  # which repeats each cell equally often
        size = tuple(cell * draw(st.integers(1, 3)) * stride for cell in cells)
    else:
        size = tuple(draw(st.integers(max(cell, 2) * stride, 14)) for cell in cells)
    return Form(
        decision=draw(st.sampled_from(DECISIONS)),
        upsampling=upsampling,
        gate=draw(st.sampled_from(GATES)),
        block=draw(st.sampled_from(("bottleneck", "basic", "single"))),
        size=(size[0], size[1]),
        cells=cells,
        batch=draw(st.integers(1, 3)),
        mask_groups=draw(st.sampled_from((1, 1, 2, 4))),
        conv_groups=draw(st.sampled_from((1, 1, 2, 4))),
        stride=stride,
        dilation=draw(st.sampled_from((1, 1, 2))),
        batch_norm=draw(st.booleans()),
        blocks=draw(st.integers(1, 2)) if stride == 1 else 1,
        seed=draw(st.integers(0, 1000)),
    )


def inputs_of(form: Form) -> dict[str, np.ndarray]:
    return {INPUT: random_input(form)}


def check(form: Form) -> None:
    analysis = analyse(masked_network(form))
    check_demands(analysis, inputs_of(form))
    check_fills(analysis, inputs_of(form))
    assert len(analysis.gates) == form.blocks
    branch = [f"layer1.{number}.conv1" for number in range(form.blocks)]
    assert not any(analysis.demand(name).is_everywhere for name in branch)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(forms())
def test_a_network_needs_no_more_than_is_demanded(form: Form) -> None:
    check(form)


@pytest.mark.slow
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(forms())
def test_many_networks_need_no_more_than_is_demanded(form: Form) -> None:
    check(form)


@pytest.mark.parametrize(
    ("decision", "gate", "upsampling"),
    [
        (decision, GATES[(place + turn) % len(GATES)], UPSAMPLINGS[(place + 2 * turn) % len(UPSAMPLINGS)])
        for place, decision in enumerate(DECISIONS)
        for turn in (0, 3)
    ],
)
def test_every_decision_gate_and_upsampling(decision: str, gate: str, upsampling: str) -> None:
    form = Form(decision=decision, gate=gate, upsampling=upsampling)
    check(form)
    (mask,) = {gate.mask for gate in analyse(masked_network(form)).gates}
    assert mask.granularity == (4, 4)


def test_the_check_finds_a_demand_that_is_too_small() -> None:
    form = Form(size=(12, 12), cells=(3, 3))
    analysis = analyse(masked_network(form))
    (read_by_conv2,) = (node.inputs[0] for node in analysis.graph if node.name == "layer1.0.conv2")
    assert read_by_conv2 is not None
    (footprint,) = analysis.demands[read_by_conv2].footprints
    undilated = Demand(frozenset([replace(footprint, windows=())]))
    with pytest.raises(AssertionError):
        check_demands(replace(analysis, demands={**analysis.demands, read_by_conv2: undilated}), inputs_of(form))
