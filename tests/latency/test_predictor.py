"""Fitting to kernels of a made-up device, whose truth is known."""

import json
from dataclasses import replace

import numpy as np
import pytest

from lascompile.latency import Cell, Row
from lascompile.latency.analytical import Rates, terms
from lascompile.latency.evaluation import algorithm_choices, choices, coverage, errors, hold_out
from lascompile.latency.observations import KernelCall, Observation
from lascompile.latency.predictor import CALIBRATED, CORRECTED, DATA_SHEET, Predictor, log_ratios
from lascompile.machine import DEVICES
from lascompile.records import Latency, TargetKey, Task, Versions
from lascompile.schedules.cpu.row_conv import default_decisions
from lascompile.schedules.work import Engine
from lascompile.target import CpuTarget
from lascompile.workload import ConvWorkload

SHEET = DEVICES["zen4"]
TARGET = CpuTarget("znver4", "x86_64-linux-gnu", ("avx", "avx2", "avx512f", "fma"))
ENGINE = Engine(SHEET.vector_lanes, SHEET.vector_registers, SHEET.engine_memory_bytes)
TRUTH = replace(Rates.of(SHEET, 2), fma_s=1.3 * Rates.of(SHEET, 2).fma_s, launch_s=3e-6)
RATES = (0.25, 0.5, 1.0)


def _workload(channels: int, side: int, taps: int) -> ConvWorkload:
    return ConvWorkload(
        rows=side * side, input_rows=side * side, taps=taps, groups=1, in_channels=channels,
        out_channels=2 * channels, gathers=True, counted=True, scatters=False,
    )  # fmt: skip


def _observe(workload: ConvWorkload, rate: float, factor: float = 1.0) -> Observation:
    decisions = default_decisions(workload, TARGET, 2)
    call = KernelCall(workload, "llvm", "direct", decisions, round(rate * workload.rows), 2)
    seconds = factor * terms(call.work(ENGINE), TRUTH).latency_s
    task = Task(workload, TargetKey.of(TARGET), 2, "made up", rate)
    cell = Cell(task, "direct", "000000000000", vars(decisions).copy(), (4, 4), (channels(workload), 8, 8))
    row = Row(cell, Latency(seconds, seconds, seconds, 9), Versions("0", "0", "0"), count=round(call.count))
    return Observation(row, call, ENGINE)


def channels(workload: ConvWorkload) -> int:
    return workload.out_channels


@pytest.fixture(scope="module")
def observations() -> list[Observation]:
    rng = np.random.default_rng(0)
    shapes = [(channels, side, taps) for channels in (64, 96, 128, 256) for side in (14, 28) for taps in (1, 9)]
    return [
        _observe(_workload(*shape), rate, float(np.exp(0.02 * rng.standard_normal())))
        for shape in shapes
        for rate in RATES
    ]


@pytest.fixture(scope="module")
def fitted(observations: list[Observation]) -> Predictor:
    return Predictor.fit(observations, SHEET, 2)


def test_rates_are_found_again(fitted: Predictor) -> None:
    assert fitted.rates.fma_s == pytest.approx(TRUTH.fma_s, rel=0.08)


def test_a_shape_that_was_never_measured_is_foretold(fitted: Predictor) -> None:
    unseen = [_observe(_workload(160, 20, 9), rate) for rate in RATES]
    assert np.abs(log_ratios(fitted, unseen)).max() < 0.06
    bare = Predictor.from_data_sheet(SHEET, 2)
    assert np.abs(log_ratios(bare, unseen)).mean() > 0.1


def test_a_kernel_measured_at_other_counts_keeps_its_own_error(observations: list[Observation]) -> None:
    odd = _workload(192, 28, 9)
    known = Predictor.fit([*observations, *(_observe(odd, rate, 1.25) for rate in (0.25, 1.0))], SHEET, 2)
    assert np.exp(log_ratios(known, [_observe(odd, 0.5, 1.25)])) == pytest.approx(1, abs=0.06)


def test_latency_grows_with_the_count(fitted: Predictor) -> None:
    workload = _workload(128, 28, 9)
    decisions = default_decisions(workload, TARGET, 2)
    calls = [KernelCall(workload, "llvm", "direct", decisions, count, 2) for count in range(0, 785, 7)]
    for predictor in (Predictor.from_data_sheet(SHEET, 2), replace(fitted, anchors=type(fitted.anchors)())):
        seconds = [found.latency_s for found in predictor.predict(calls)]
        assert seconds == sorted(seconds)
        assert seconds[0] < seconds[-1]


def test_it_says_where_its_figure_is_from_and_how_sure_it_is(fitted: Predictor) -> None:
    call = _observe(_workload(128, 28, 9), 0.5).call
    bare, known = Predictor.from_data_sheet(SHEET, 2).predict([call])[0], fitted.predict([call])[0]
    assert bare.source == DATA_SHEET
    assert known.source in (CALIBRATED, CORRECTED)
    assert bare.extrapolates and not known.extrapolates
    assert known.low_s <= known.latency_s <= known.high_s
    assert known.high_s / known.low_s < bare.high_s / bare.low_s
    large = _workload(4096, 56, 9)
    far = KernelCall(large, "llvm", "direct", default_decisions(large, TARGET, 2), 3000, 2)
    assert fitted.predict([far])[0].extrapolates


def test_a_file_holds_all_of_it(fitted: Predictor, observations: list[Observation]) -> None:
    again = Predictor.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert log_ratios(again, observations) == pytest.approx(log_ratios(fitted, observations), abs=1e-4)


DAMAGES = [{"schema": 9}, {"rates": {}}, {"rates": {"fma_s": -1}}, {"rates": {"launch_s": "a"}}, {"interval": []}]


@pytest.mark.parametrize("change", DAMAGES)
def test_what_is_no_predictor_is_refused(fitted: Predictor, change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="predictor"):
        Predictor.from_dict(fitted.to_dict() | change)


def test_damaged_trees_are_refused(fitted: Predictor) -> None:
    assert fitted.correction is not None
    stored = fitted.to_dict()
    stored["correction"] = stored["correction"] | {"trees": {"a": 1}, "strength": 0.5}
    with pytest.raises(ValueError, match="trees are damaged"):
        Predictor.from_dict(stored)


def test_one_shape_says_nothing_of_how_sure_others_are(observations: list[Observation]) -> None:
    one = [item for item in observations if item.shape == observations[0].shape]
    [found] = Predictor.fit(one, SHEET, 2).predict([observations[0].call])
    assert found.low_s < 0.9 * found.latency_s < 1.1 * found.latency_s < found.high_s
    assert coverage(one, SHEET, 2) is None


def test_nothing_measured_is_nothing_to_fit(fitted: Predictor) -> None:
    with pytest.raises(ValueError, match="no measured kernels"):
        Predictor.fit([], SHEET, 2)
    assert fitted.predict([]) == []


def test_held_out_parts_are_predicted_from_the_rest(observations: list[Observation]) -> None:
    found = hold_out(observations, SHEET, 2, "rate")
    assert found is not None and found.groups == 3
    assert found.predictor.mape < found.analytical.mape
    assert hold_out(observations, SHEET, 2, "granularity") is None


def test_the_interval_covers_what_it_promises(observations: list[Observation]) -> None:
    few = [item for item in observations if item.call.count > 100]
    covered = coverage(few, SHEET, 2, folds=2)
    assert covered is not None and 70 <= covered <= 100


def test_errors_by_hand() -> None:
    found = errors(np.array([1.0, 2.0, 4.0]), np.array([1.125, 1.75, 4.0]))
    assert found.mape == pytest.approx(25 / 3)
    assert found.rmspe == pytest.approx((312.5 / 3) ** 0.5)
    assert found.within == pytest.approx((100 / 3, 100 / 3, 100))
    assert found.worst == pytest.approx(12.5)
    assert (found.tau, found.rho) == pytest.approx((1, 1))
    with pytest.raises(ValueError, match="too few"):
        errors(np.array([1.0]), np.array([1.0]))


def test_choices_by_hand(observations: list[Observation]) -> None:
    found = choices([[(1.0, 3.0), (2.0, 1.0)], [(1.0, 1.0), (5.0, 2.0)], [(1.0, 1.0)]])
    assert found is not None
    assert (found.sites, found.right, found.mean_regret, found.worst_regret) == (2, 50, 50, 100)
    assert choices([[(1.0, 1.0)]]) is None
    assert algorithm_choices(observations, SHEET, 2) is None  # one algorithm alone
