"""The search against every design predicted by itself."""

from __future__ import annotations

import itertools

import pytest

from lascompile.errors import UsageError
from lascompile.latency.network import NetworkPredictor, device_of
from lascompile.machine import DEVICES
from lascompile.models.architectures import configure
from lascompile.search.granularity import Design, divisors, executed_flops, pareto, search, stage_curves

TINY = configure("lasnet_resnet_tiny", input_size=64)
RATE = 0.4


@pytest.mark.parametrize("device", ["zen4", "jetson-tx2"])
def test_it_finds_what_trying_all_designs_finds(device: str) -> None:
    predictor = NetworkPredictor(device_of(DEVICES[device]))
    options = [divisors(size, whole=False) for size in TINY.map_sizes]
    totals = {
        design: sum(
            block.latency_s
            for block in predictor.network(configure("lasnet_resnet_tiny", granularity=design, input_size=64), RATE)
        )
        for design in itertools.product(*options)
    }
    ranked = sorted(totals, key=lambda design: (totals[design], design))
    found = search(predictor, TINY, RATE, top=5)
    assert [design.granularity for design in found] == ranked[:5]
    assert [design.latency_s for design in found] == pytest.approx([totals[design] for design in ranked[:5]])


def test_granularities_divide_the_map_and_leave_out_the_map_itself() -> None:
    assert divisors((56, 56), whole=False) == [1, 2, 4, 7, 8, 14, 28]
    assert divisors((56, 56), whole=True) == [1, 2, 4, 7, 8, 14, 28, 56]
    assert divisors((7, 7), whole=False) == [1]
    assert divisors((12, 8), whole=True) == [1, 2, 4]
    assert divisors((1, 1), whole=False) == [1]


def test_a_curve_grows_with_the_rate_and_coarse_patches_have_less_halo() -> None:
    predictor = NetworkPredictor(device_of(DEVICES["zen4"], 2))
    curves = stage_curves(predictor, configure("lasnet_resnet50"), (0.1, 0.5, 1.0))
    first = {curve.granularity: curve for curve in curves if curve.stage == 0}
    assert sorted(first) == [1, 2, 4, 7, 8, 14, 28]
    for curve in first.values():
        assert curve.latency_s == tuple(sorted(curve.latency_s))
        assert curve.flops == tuple(sorted(curve.flops))
    assert first[1].flops[1] > first[4].flops[1] > first[14].flops[1]
    assert first[1].flops[2] == pytest.approx(first[14].flops[2], rel=0.01)
    assert len({curve.static_s for curve in first.values()}) == 1


def test_a_dilated_mask_counts_whichever_form_computes_it() -> None:
    predictor = NetworkPredictor(device_of(DEVICES["zen4"], 2))
    block = predictor.network(configure("lasnet_resnet18"), 0.5)[1]
    first, second = (chosen for chosen in block.kernels if chosen.kernel.name in ("conv1", "conv2"))
    assert first.kernel.reach == 1 and second.kernel.reach is None
    flops = 2 * 9 * 64 * 64
    assert executed_flops(block) > 1.05 * 2 * 0.5 * 3136 * flops  # both at the mask's own rate


def test_the_front_has_no_design_that_another_one_beats() -> None:
    designs = [Design((1,), 3.0, 5.0), Design((2,), 2.0, 6.0), Design((4,), 2.5, 7.0), Design((8,), 1.0, 9.0)]
    assert [design.granularity for design in pareto(designs)] == [(8,), (2,), (1,)]


def test_impossible_questions_are_refused() -> None:
    predictor = NetworkPredictor(device_of(DEVICES["zen4"]))
    with pytest.raises(UsageError, match="activation rate -0.1"):
        search(predictor, TINY, -0.1)
    with pytest.raises(UsageError, match="top is 0"):
        search(predictor, TINY, 0.5, top=0)
