"""The way from a decision to lists and tables of rows, against plain loops in Python."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lascompile.kernels.mask_lists import (
    define_active,
    define_compact,
    define_dilate,
    define_table,
    define_union,
)
from lascompile.sites.window_table import dense_table
from lascompile.workload import (
    ROW_SLACK,
    ActiveWorkload,
    CompactWorkload,
    DilateWorkload,
    TableWorkload,
    UnionWorkload,
    WindowShape,
)
from tests.kernels.calling import Kernel

# batch, kernel, stride, pad, dilation, input_size, output_size
WINDOWS = {
    "3x3": WindowShape(1, (3, 3), (1, 1), (1, 1), (1, 1), (7, 5), (7, 5)),
    "3x3 of a batch": WindowShape(3, (3, 3), (1, 1), (1, 1), (1, 1), (4, 6), (4, 6)),
    "stride 2": WindowShape(2, (3, 3), (2, 2), (1, 1), (1, 1), (8, 6), (4, 3)),
    "stride 2 of odd sizes": WindowShape(1, (3, 3), (2, 2), (1, 1), (1, 1), (7, 9), (4, 5)),
    "stride larger than the kernel": WindowShape(1, (1, 1), (2, 3), (0, 0), (1, 1), (7, 9), (4, 3)),
    "dilation": WindowShape(1, (3, 3), (1, 1), (2, 2), (2, 2), (6, 6), (6, 6)),
    "different axes": WindowShape(2, (3, 1), (2, 1), (1, 0), (1, 1), (6, 5), (3, 5)),
    "uneven padding": WindowShape(1, (4, 2), (1, 1), (1, 0), (1, 1), (5, 5), (5, 5)),
    "no padding": WindowShape(1, (3, 3), (1, 1), (0, 0), (1, 1), (5, 6), (3, 4)),
    "pointwise": WindowShape(2, (1, 1), (1, 1), (0, 0), (1, 1), (3, 4), (3, 4)),
}


def reads(window: WindowShape, pixel: int) -> Iterator[int]:
    """For each tap of output `pixel`: the dense row that it reads, 0 outside of the image."""
    (height, width), (out_height, out_width) = window.input_size, window.output_size
    image, place = divmod(pixel, out_height * out_width)
    row, column = divmod(place, out_width)
    for i in range(window.kernel[0]):
        for j in range(window.kernel[1]):
            y = row * window.stride[0] - window.pad[0] + i * window.dilation[0]
            x = column * window.stride[1] - window.pad[1] + j * window.dilation[1]
            inside = 0 <= y < height and 0 <= x < width
            yield (image * height + y) * width + x + 1 if inside else 0


def pixels_on(rows: int, share: float, seed: int = 0) -> np.ndarray:
    """[rows + 1] uint8, about that share of them 1, the last 0."""
    active = np.zeros(rows + 1, np.uint8)
    active[:rows] = np.random.default_rng(seed).random(rows) < share
    return active


FAR = 2**28
"""A row outside of every buffer: reading there ends the process."""


def ints(*shape: int) -> np.ndarray:
    return np.full(shape, FAR, np.int32)


def flags(*shape: int) -> np.ndarray:
    """Neither 0 nor 1."""
    return np.full(shape, 77, np.uint8)


def compacted(active: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """list, count, position of the active pixels, as the kernel computes them."""
    rows = len(active) - 1
    outputs = {"list": ints(rows + ROW_SLACK), "count": ints(1), "position": ints(rows + 1)}
    made = Kernel(define_compact(CompactWorkload(rows)))({"active": active, **outputs})
    return made["list"], made["count"], made["position"]


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("dtype", ["bool", "float32", "int64", "int32", "uint8"])
@pytest.mark.parametrize("groups", [1, 3])
def test_active(groups: int, dtype: str, inverted: bool) -> None:
    """Each pixel obeys the element that the index names, in any order and number."""
    rows, elements = 23, 7
    rng = np.random.default_rng(groups)
    decision = rng.integers(0, 2, elements).astype(dtype)
    index = rng.integers(0, elements, (groups, rows), dtype=np.int32)
    outputs = {"group_active": flags(groups, rows + 1), "active": flags(rows + 1)}
    kernel = Kernel(define_active(ActiveWorkload(elements, dtype, groups, rows, inverted)))
    made = kernel({"decision": decision, "index": index, **outputs})
    on = (decision[index] != 0) != inverted
    np.testing.assert_array_equal(made["active"][:rows], on.any(axis=0))
    assert made["active"][rows] == 0
    if groups > 1:
        by_group = made["group_active"]
        np.testing.assert_array_equal(by_group[:, :rows], on)
        assert not by_group[:, rows].any()


@pytest.mark.parametrize("name", WINDOWS)
def test_dilate(name: str) -> None:
    window = WINDOWS[name]
    kernel = Kernel(define_dilate(DilateWorkload(window)))
    for share in (0, 0.1, 0.5, 1):
        active = pixels_on(window.output_rows, share)
        reached = kernel({"active": active, "reached": flags(window.input_rows + 1)})["reached"]
        read = {row for pixel in np.flatnonzero(active).tolist() for row in reads(window, pixel)} - {0}
        np.testing.assert_array_equal(reached, np.isin(np.arange(1, window.input_rows + 2), list(read)))


def test_union() -> None:
    rows = 37
    first, second = pixels_on(rows, 0.4, seed=1), pixels_on(rows, 0.4, seed=2)
    kernel = Kernel(define_union(UnionWorkload(rows)))
    made = kernel({"first": first, "second": second, "active": flags(rows + 1)})
    np.testing.assert_array_equal(made["active"], first | second)


@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.98, 1])
def test_compact(share: float) -> None:
    rows = 101
    active = pixels_on(rows, share)
    listed, (count,), position = compacted(active)
    expected = np.flatnonzero(active) + 1
    assert count == len(expected)
    np.testing.assert_array_equal(listed[:count], expected)
    np.testing.assert_array_equal(listed[count : count + ROW_SLACK], rows + 1)
    packed = np.zeros(rows + 1, np.int32)
    packed[expected] = np.arange(1, count + 1)
    np.testing.assert_array_equal(position, packed)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", WINDOWS)
def test_table(name: str, packed: bool) -> None:
    """Of the listed pixels alone; a packed input's rows are looked up; row 0 behind the last pixel."""
    window = WINDOWS[name]
    kernel = Kernel(define_table(TableWorkload(window, packed)))
    for share in (0, 0.3, 1):
        on = pixels_on(window.output_rows, share)
        listed, count, _ = compacted(on)
        position = np.random.default_rng(0).permutation(window.input_rows + 1).astype(np.int32)
        position[0] = 0
        rows = window.output_rows + ROW_SLACK
        table = ints(rows, window.taps) if window.taps > 1 else ints(rows)
        table = kernel({"list": listed, "count": count, "position": position, "table": table})["table"]
        expected = np.array([list(reads(window, pixel)) for pixel in np.flatnonzero(on).tolist()], np.int32)
        expected = expected.reshape(-1, window.taps)
        got = table.reshape(rows, window.taps)
        np.testing.assert_array_equal(got[: count[0]], position[expected] if packed else expected)
        assert not got[count[0] : count[0] + ROW_SLACK - 1].any(), "a tile may run over the last pixel"
        assert (got[count[0] + ROW_SLACK - 1 :] == FAR).all(), "more is written than a tile may read"


@pytest.mark.parametrize("name", WINDOWS)
def test_table_of_a_dense_convolution(name: str) -> None:
    window = WINDOWS[name]
    table = dense_table(window)
    assert table.dtype == np.int32 and table.ndim == (2 if window.taps > 1 else 1)
    expected = [list(reads(window, pixel)) for pixel in range(window.output_rows)]
    rows = table.reshape(-1, window.taps)
    np.testing.assert_array_equal(rows[: window.output_rows], expected)
    assert not rows[window.output_rows :].any() and len(rows) == window.output_rows + ROW_SLACK


@settings(max_examples=60, derandomize=True)
@given(st.data())
def test_dense_table_of_any_window(data: st.DataObject) -> None:
    small = st.integers(1, 3)
    kernel, stride, dilation = (data.draw(st.tuples(small, small)) for _ in range(3))
    pad = data.draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    size, output = (data.draw(st.tuples(st.integers(1, 6), st.integers(1, 6))) for _ in range(2))
    window = WindowShape(data.draw(st.integers(1, 2)), kernel, stride, pad, dilation, size, output)
    expected = [list(reads(window, pixel)) for pixel in range(window.output_rows)]
    rows = dense_table(window).reshape(-1, window.taps)[: window.output_rows]
    np.testing.assert_array_equal(rows, expected)
