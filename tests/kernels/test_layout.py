"""Feature maps to rows and back, and copies: bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from lascompile.kernels.layout import define_copy
from lascompile.schedules.cpu.rows import schedule_layout
from lascompile.workload import CopyWorkload, LayoutWorkload
from tests.kernels.calling import SENTINEL, Kernel
from tests.kernels.rows import as_rows, unwritten

SHAPES = [(1, 3, 5, 7), (2, 16, 4, 4), (3, 10, 1, 1), (1, 1, 8, 3), (2, 40, 3, 2)]


def random_map(shape: tuple[int, ...]) -> np.ndarray:
    array = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    array.flat[0] = np.nan
    return array


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_to_rows(shape: tuple[int, int, int, int], threads: int) -> None:
    """The channels behind the last are zero, row 0 too; the slack is not touched."""
    given, pixels = random_map(shape), shape[0] * shape[2] * shape[3]
    kernel = Kernel(schedule_layout(LayoutWorkload(shape, to_rows=True), threads))
    rows = kernel({"map": given, "output": unwritten(shape, SENTINEL)})["output"]
    expected = as_rows(given, beyond=0)
    expected[pixels + 1 :] = SENTINEL
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_from_rows(shape: tuple[int, int, int, int]) -> None:
    wanted = random_map(shape)
    kernel = Kernel(schedule_layout(LayoutWorkload(shape, to_rows=False), 2))
    got = kernel({"rows": as_rows(wanted), "map": np.full(shape, SENTINEL)})["map"]
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "uint8"])
def test_copy(dtype: str) -> None:
    source = np.random.default_rng(0).integers(0, 2, 37).astype(dtype)
    copied = Kernel(define_copy(CopyWorkload(37, dtype)))({"source": source, "target": np.zeros(37, dtype)})
    np.testing.assert_array_equal(copied["target"], source)
