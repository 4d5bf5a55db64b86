"""Pooling over rows against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from lascompile.schedules.cpu.rows import schedule_pool
from lascompile.workload import PoolWorkload, WindowShape
from tests.kernels.calling import SENTINEL, Kernel
from tests.kernels.rows import as_map, as_rows, unwritten

# kernel, stride, padding; then what else PyTorch is told.
MAXIMA: dict[str, dict[str, Any]] = {
    "3x3": {"kernel_size": 3, "stride": 1, "padding": 1},
    "stem": {"kernel_size": 3, "stride": 2, "padding": 1},
    "2x2": {"kernel_size": 2, "stride": 2, "padding": 0},
    "rounded up": {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    "dilated": {"kernel_size": (3, 2), "stride": 1, "padding": (1, 1), "dilation": (1, 2)},
    "different axes": {"kernel_size": (1, 4), "stride": (2, 3), "padding": (0, 2)},
}
AVERAGES: dict[str, dict[str, Any]] = {
    "3x3": {"kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": False},
    "padding counts": {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": True},
    "masker": {"kernel_size": 4, "stride": 4, "padding": 0},
    "overlapping": {"kernel_size": (4, 3), "stride": (3, 2), "padding": 0},
    "rounded up": {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
    "whole map": {"kernel_size": (9, 11), "stride": 1, "padding": 0},
}
SHAPE = (2, 5, 9, 11)


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def pool(kind: str, array: np.ndarray, options: dict[str, Any], expected: np.ndarray, threads: int = 2) -> np.ndarray:
    batch, channels, height, width = array.shape
    window = WindowShape(
        batch,
        pair(options["kernel_size"]),
        pair(options["stride"]),
        pair(options["padding"]),
        pair(options.get("dilation", 1)),
        (height, width),
        expected.shape[2:],
    )
    workload = PoolWorkload(kind, window, channels, bool(options.get("count_include_pad")))
    kernel = Kernel(schedule_pool(workload, threads))
    output = kernel({"input": as_rows(array), "output": unwritten(expected.shape, SENTINEL)})["output"]
    assert not output[0].any()
    assert (output[window.output_rows + 1 :] == SENTINEL).all()
    return as_map(output, expected.shape)


@pytest.mark.parametrize("name", MAXIMA)
def test_maximum(name: str) -> None:
    array = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    expected = F.max_pool2d(torch.from_numpy(array), **MAXIMA[name]).numpy()
    np.testing.assert_array_equal(pool("max", array, MAXIMA[name], expected), expected)


@pytest.mark.parametrize("name", AVERAGES)
@pytest.mark.parametrize("threads", [1, 2])
def test_average(name: str, threads: int) -> None:
    array = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    expected = F.avg_pool2d(torch.from_numpy(array), **AVERAGES[name]).numpy()
    got = pool("average", array, AVERAGES[name], expected, threads)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", [MAXIMA["stem"], MAXIMA["2x2"]])
def test_maximum_of_what_is_not_finite(options: dict[str, Any]) -> None:
    """NaN wins wherever it stands, and of minus infinities comes minus infinity."""
    array = np.full(SHAPE, -np.inf, np.float32)
    array[0, 1, 4, 5], array[0, 2, 0, 0], array[1, 3] = np.nan, np.inf, 7
    expected = F.max_pool2d(torch.from_numpy(array), **options).numpy()
    np.testing.assert_array_equal(pool("max", array, options, expected), expected)


def test_average_of_what_is_not_finite() -> None:
    array = np.zeros(SHAPE, np.float32)
    array[0, 1, 4, 5], array[0, 2, 0, 0] = np.nan, np.inf
    expected = F.avg_pool2d(torch.from_numpy(array), **AVERAGES["3x3"]).numpy()
    np.testing.assert_array_equal(pool("average", array, AVERAGES["3x3"], expected), expected)
