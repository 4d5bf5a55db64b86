"""How many rows and tiles are active, against masks drawn and counted otherwise."""

import numpy as np
import pytest

from lascompile.latency.counts import MaskShape, expected_count, reach_of
from lascompile.workload import ConvWorkload, Epilogue, WinogradWorkload


def _conv(rows: int, taps: int = 1, scatters: bool = False, counted: bool = True) -> ConvWorkload:
    return ConvWorkload(
        rows=rows, input_rows=rows, taps=taps, groups=1, in_channels=16, out_channels=16, gathers=True,
        counted=counted, scatters=scatters, epilogue=Epilogue(),
    )  # fmt: skip


def _winograd(m: int, tiles: int, rows: int) -> WinogradWorkload:
    return WinogradWorkload(
        m=m, tiles=tiles, input_rows=rows, output_rows=rows, in_channels=16, out_channels=16, counted=True
    )


MASK = MaskShape((56, 56), (4, 4))


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_rows_of_the_mask_itself_are_its_rate(rate: float) -> None:
    assert expected_count(_conv(3136, taps=9), MASK, rate) == pytest.approx(rate * 3136)
    assert expected_count(_conv(2 * 3136, scatters=True), MASK, rate, batch=2) == pytest.approx(2 * rate * 3136)


def test_a_dilated_mask_has_more_rows_and_never_more_than_all() -> None:
    counts = [expected_count(_conv(3136), MASK, rate, reach=1) for rate in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert counts[0] == 0
    assert counts[-1] == 3136
    assert all(low < high for low, high in zip(counts, counts[1:], strict=False))
    assert 0.55 * 3136 < counts[2] < 0.73 * 3136  # coherent masks: between the mask's own and independent patches


def test_a_strided_3x3_reads_four_times_the_pixels() -> None:
    mask = MaskShape((28, 28), (4, 4))
    assert reach_of(_conv(4 * 784), mask) == 2
    assert expected_count(_conv(4 * 784), mask, 1.0, reach=2) == pytest.approx(3136)
    assert expected_count(_conv(4 * 784), mask, 0.5, reach=2) > 0.5 * 3136


def test_tiles_of_a_dilated_mask_are_those_that_hold_a_pixel_of_it() -> None:
    mask = MaskShape((16, 16), (4, 4))
    own, reached = (expected_count(_winograd(2, 64, 256), mask, 0.25, reach=reach) for reach in (None, 1))
    assert own == pytest.approx(16)
    assert 16 < reached < 64
    assert expected_count(_winograd(2, 64, 256), mask, 1.0, reach=1) == 64
    assert expected_count(_winograd(2, 64, 256), mask, 0.0, reach=1) == 0


@pytest.mark.parametrize(
    ("side", "granularity", "m", "tiles"), [(56, 4, 4, 196), (56, 8, 4, 196), (14, 7, 2, 64), (14, 1, 2, 196)]
)
def test_tiles_follow_the_patches(side: int, granularity: int, m: int, tiles: int) -> None:
    mask = MaskShape((side, side), (granularity, granularity))
    assert expected_count(_winograd(m, tiles, side * side), mask, 1.0) == tiles
    half = expected_count(_winograd(m, tiles, side * side), mask, 0.5)
    assert half == pytest.approx(tiles / 2, rel=0.03)


def test_patches_that_do_not_divide_the_map() -> None:
    mask = MaskShape((50, 50), (7, 7))
    assert mask.patches == (7, 7)
    assert np.bincount(mask.axis(0)).tolist() == [8, 7, 7, 7, 7, 7, 7]


def test_a_kernel_without_a_count_has_all_its_rows() -> None:
    assert expected_count(_conv(3136, counted=False), MASK, 0.5) == 3136
    assert expected_count(_conv(3136), None, 0.5) == 3136
