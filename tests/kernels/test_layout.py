"""Feature maps to rows and back, and copies: bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from lascompile.kernels.layout import define_copy
from lascompile.runtime.memory import aligned_empty
from lascompile.schedules.cpu.rows import schedule_layout
from lascompile.workload import ROW_SLACK, CopyWorkload, LayoutWorkload, channel_stride
from tests.kernels.runner import changed_rows, compile_kernel, poisoned

SHAPES = [(1, 3, 5, 7), (2, 16, 4, 4), (3, 10, 1, 1), (1, 1, 8, 3), (2, 40, 3, 2)]


def random_map(shape: tuple[int, ...]) -> np.ndarray:
    array = aligned_empty(shape, "float32")
    array[...] = np.random.default_rng(0).standard_normal(shape)
    array.flat[0] = np.nan
    return array


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_to_rows(shape: tuple[int, int, int, int], threads: int) -> None:
    """The channels behind the last are zero, row 0 too; the slack is not touched."""
    batch, channels, height, width = shape
    pixels, given = batch * height * width, random_map(shape)
    rows = poisoned((pixels + ROW_SLACK, channel_stride(channels)), "float32")
    before = rows.copy()
    compile_kernel(schedule_layout(LayoutWorkload(shape, to_rows=True), threads))(given, rows)
    expected = given.transpose(0, 2, 3, 1).reshape(pixels, channels)
    np.testing.assert_array_equal(rows[1 : pixels + 1, :channels], expected)
    assert not rows[: pixels + 1, channels:].any() and not rows[0].any()
    assert changed_rows(before, rows) == list(range(pixels + 1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_from_rows(shape: tuple[int, int, int, int]) -> None:
    batch, channels, height, width = shape
    pixels = batch * height * width
    rows = poisoned((pixels + ROW_SLACK, channel_stride(channels)), "float32")
    rows[1 : pixels + 1, :channels] = np.random.default_rng(0).standard_normal((pixels, channels))
    got = aligned_empty(shape, "float32")
    compile_kernel(schedule_layout(LayoutWorkload(shape, to_rows=False), 2))(rows, got)
    expected = rows[1 : pixels + 1, :channels].reshape(batch, height, width, channels).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "uint8"])
def test_copy(dtype: str) -> None:
    source, target = aligned_empty((37,), dtype), poisoned((37,), dtype)
    source[...] = np.random.default_rng(0).integers(0, 2, 37)
    compile_kernel(define_copy(CopyWorkload(37, dtype)))(source, target)
    np.testing.assert_array_equal(target, source)
