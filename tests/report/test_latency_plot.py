from __future__ import annotations

from dataclasses import replace

import pytest

from lascompile.records import Latency
from lascompile.report.latency_plot import _top_s, arrange, plot
from lascompile.workload import CompactWorkload, Epilogue
from tests.latency.samples import row
from tests.records.samples import GATHER


def panels_of(*rows):
    return {(panel.stage, panel.kernel): panel for panel in arrange(rows)}


def test_a_dense_kernel_is_in_the_panel_of_its_dynamic_form():
    dense = row(5e-3, 1.0, workload=replace(GATHER, counted=False), granularity=None)
    (panel,) = arrange([row(1e-3, 0.1), row(3e-3, 1.0), dense])
    assert (panel.stage, panel.kernel) == ((64, 56, 56), "conv3x3 64→64")
    assert panel.dense == {"direct": dense}
    assert [rate for rate, _ in panel.dynamic["4", "direct"].points()] == [0.1, 1.0]


def test_lines_are_of_a_granularity_and_an_algorithm():
    (panel,) = arrange([row(granularity=(2, 2)), row(), row(algorithm="winograd"), row(granularity=(7, 4))])
    assert set(panel.dynamic) == {("2", "direct"), ("4", "direct"), ("4", "winograd"), ("7x4", "direct")}


def test_the_last_measurement_is_drawn():
    (panel,) = arrange([row(2e-3, when="2"), row(1e-3, when="1")])
    assert [found.latency.median_s for _, found in panel.dynamic["4", "direct"].points()] == [2e-3]


def test_panels_are_of_a_stage_and_a_kernel_the_finest_stage_first():
    coarse = row(stage=(256, 14, 14))
    strided = row(workload=replace(GATHER, rows=784))
    adding = row(workload=replace(GATHER, taps=1, out_channels=256, epilogue=Epilogue(add=True)))
    other = row(workload=CompactWorkload(3136))
    assert list(panels_of(coarse, strided, adding, row(), other, row(stage=None))) == [
        ((64, 56, 56), "compact_mask"),
        ((64, 56, 56), "conv1x1 64→256 + residual"),
        ((64, 56, 56), "conv3x3 64→64"),
        ((64, 56, 56), "conv3x3 64→64, stride 2"),
        ((256, 14, 14), "conv3x3 64→64"),
    ]


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_picture_of_the_same_rows_is_the_same_file(tmp_path, ending):
    panels = arrange([row(rate=rate, granularity=(size, size)) for rate in (0.1, 1.0) for size in (2, 4)])
    files = [tmp_path / f"{number}.{ending}" for number in range(2)]
    for file in files:
        plot(panels, "A CPU, 2 threads", file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_one_disturbed_measurement_does_not_squeeze_the_lines():
    disturbed = replace(row(1e-3, rate=0.5), latency=Latency(1e-3, 1e-3, 50e-3, 20))
    [panel] = arrange([row(2e-3, rate=1.0), disturbed])
    assert 2e-3 < _top_s(panel) < 4e-3


def test_an_algorithm_that_nobody_would_choose_does_not_squeeze_the_lines():
    """As F(4x4) where each pixel is a patch of its own."""
    rows = [row(1e-3 * rate, rate=rate, algorithm=name) for rate in (0.5, 1.0) for name in ("direct", "winograd2")]
    [panel] = arrange([*rows, row(6e-3, rate=1.0, algorithm="winograd4")])
    assert 1e-3 < _top_s(panel) <= 2e-3
