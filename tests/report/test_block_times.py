import json

import pytest

from lascompile.report.block_times import KernelTime, sort_by_block, time_blocks
from tests.report.specs import BLOCKS, MASKS, PROFILE, block, manifest


def sort(**kwargs):
    return sort_by_block(manifest(BLOCKS, MASKS, **kwargs), PROFILE, 0.03, threads=2, repeats=7)


def test_parts_of_a_block():
    (row,) = sort().blocks
    assert row.latency_s == {"masker": 0.001, "lists": 0.002, "conv": 0.003, "scatter": 0.004, "other": 0.005}
    assert row.total_s == pytest.approx(0.015)
    assert row.granularity == (4, 4)


def test_the_rate_is_that_of_the_mask_and_the_halo_that_of_the_widest_kernel():
    (row,) = sort().blocks
    assert (row.activation_rate, row.halo_rate) == (0.5, 0.75)


def test_operations_at_the_measured_rates():
    (row,) = sort().blocks
    assert row.flops == 1200
    assert row.flops_done == 400 * 0.75 + 600 * 0.5 + 200
    assert row.flops_ratio == pytest.approx(800 / 1200)
    assert row.flops_per_s == pytest.approx(800 / 0.015)


def test_operations_are_those_of_the_whole_batch():
    (row,) = sort(images=4).blocks
    assert row.flops == 4 * 1200
    assert row.flops_ratio == pytest.approx(800 / 1200)


def test_what_is_in_no_block_is_done_entirely():
    report = sort(dense=2000)
    assert report.outside.total_s == 0.010
    assert report.outside.flops == report.outside.flops_done == 800
    assert report.total.flops_ratio == pytest.approx((800 + 800) / 2000)


def test_the_total_is_the_sum_of_the_rows():
    report = sort()
    assert [row.name for row in report.rows] == ["layer1.0", ""]
    assert report.kernels_s == report.total.total_s == pytest.approx(0.025)


def test_kernels_by_kind_the_slowest_first():
    kernels = sort().kernels
    assert kernels[0] == KernelTime("conv1x1", 2, pytest.approx(0.015))
    assert [kernel.latency_s for kernel in kernels] == sorted((k.latency_s for k in kernels), reverse=True)


def test_a_block_without_a_mask_has_no_rates():
    static = manifest([block("layer1.0", None, [("conv1", 100.0)])])
    dense = PROFILE.__class__(PROFILE.steps[-2:], 0.01)
    (row,) = sort_by_block(static, dense, 0.01, 1, 1).blocks
    assert (row.granularity, row.activation_rate, row.halo_rate, row.flops_ratio) == (None, None, None, 1.0)


def test_a_block_without_operations_has_no_ratio():
    (row,) = sort_by_block(manifest([block("layer1.0", None, [])]), PROFILE, 0.01, 1, 1).blocks
    assert row.flops_ratio is None
    assert row.flops_per_s is None


def test_json_has_the_derived_figures():
    stored = json.loads(json.dumps(sort().to_json()))
    assert stored["latency_s"] == 0.03
    assert (stored["threads"], stored["repeats"]) == (2, 7)
    (row,) = stored["blocks"]
    assert row["share"] == pytest.approx(0.6)
    assert row["flops_ratio"] == pytest.approx(800 / 1200)
    assert stored["outside"]["total_s"] == 0.010


def test_both_clocks_run_as_often_as_asked_for():
    calls = {"profile": 0, "run": 0}

    class Artifact:
        threads = 3
        manifest = manifest(BLOCKS, MASKS)

        def profile(self, *inputs, repeats):
            calls["profile"] += repeats
            return PROFILE

        def run(self, *inputs):
            calls["run"] += 1

    report = time_blocks(Artifact(), [], repeats=4)
    assert calls == {"profile": 4, "run": 4}
    assert (report.threads, report.repeats, report.profiled_s) == (3, 4, 0.040)
    assert report.latency_s >= 0
