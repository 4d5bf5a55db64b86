"""Schedules of the sweeps over rows, as `build` compiles them: the same bits for any number of threads, and NaN."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lascompile.schedules.cpu.rows import schedule_layout, schedule_pool, schedule_row_map
from lascompile.workload import Epilogue, LayoutWorkload, MapWorkload, PoolWorkload, WindowShape
from tests.kernels.calling import SENTINEL, Kernel, assert_same_bits
from tests.kernels.rows import as_map, as_rows, unwritten
from tests.kernels.windows import window

THREADS = [1, 2, 3, 16]


def images_of(shape: WindowShape, channels: int) -> np.ndarray:
    rng = np.random.default_rng(channels)
    return rng.standard_normal((shape.batch, channels, *shape.input_size)).astype(np.float32)


def pooled(workload: PoolWorkload, images: np.ndarray, threads: int = 2, target: str = "llvm") -> np.ndarray:
    """The kernel's result [N, C, h, w]; checks the rows around it."""
    shape = (images.shape[0], images.shape[1], *workload.window.output_size)
    arrays = {"input": as_rows(images), "output": unwritten(shape, SENTINEL)}
    output = Kernel(schedule_pool(workload, threads), target)(arrays)["output"]
    assert (output[0] == 0).all()
    assert (output[workload.window.output_rows + 1 :] == SENTINEL).all()
    return as_map(output, shape)


@pytest.mark.parametrize("target", ["llvm", "llvm -mcpu=haswell"])
@pytest.mark.parametrize(("kind", "reduce"), [("max", np.max), ("average", np.mean)])
@pytest.mark.parametrize("place", [*range(9), None])
def test_nan_comes_out_of_a_pooling(
    kind: str, reduce: Callable[..., np.ndarray], place: int | None, target: str
) -> None:
    """At every place in its window, and where there is nothing else."""
    shape = window((3, 3), (3, 3), size=(3, 6))
    images = images_of(shape, 16)
    first = images[:, ::2, :, :3].reshape(1, 8, 9).copy()
    first[..., slice(None) if place is None else place] = np.nan
    images[:, ::2, :, :3] = first.reshape(1, 8, 3, 3)
    expected = reduce(images.reshape(1, 16, 1, 3, 2, 3), axis=(3, 5))
    assert np.isnan(expected).sum() == 8
    np.testing.assert_allclose(pooled(PoolWorkload(kind, shape, 16), images, target=target), expected, rtol=1e-5)


@pytest.mark.parametrize("extreme", [-np.inf, np.inf, np.finfo(np.float32).min])
def test_the_maximum_of_extremes(extreme: float) -> None:
    shape = window((3, 3), (2, 2), (1, 1, 1, 1))
    images = np.full((1, 8, *shape.input_size), extreme, np.float32)
    assert (pooled(PoolWorkload("max", shape, 8), images) == np.float32(extreme)).all()


@pytest.mark.parametrize("kind", ["max", "average"])
def test_threads_change_no_bit_of_a_pooling(kind: str) -> None:
    shape = window((3, 3), (2, 2), (1, 1, 1, 1), size=(9, 7), batch=2)
    images = images_of(shape, 20)
    results = [pooled(PoolWorkload(kind, shape, 20), images, threads) for threads in THREADS for _ in range(2)]
    for result in results[1:]:
        assert_same_bits(np.ascontiguousarray(result), np.ascontiguousarray(results[0]), kind)


@pytest.mark.parametrize("to_rows", [True, False])
def test_threads_change_no_bit_of_a_layout(to_rows: bool) -> None:
    images = images_of(window((1, 1), size=(5, 7), batch=2), 20)
    given, name = ({"map": images}, "output") if to_rows else ({"rows": as_rows(images)}, "map")
    output = unwritten((2, 20, 5, 7), SENTINEL) if to_rows else np.full(images.shape, SENTINEL)
    for threads in THREADS:
        kernel = Kernel(schedule_layout(LayoutWorkload((2, 20, 5, 7), to_rows), threads))
        expected = as_rows(images, beyond=0) if to_rows else images
        result = kernel({**given, name: output})[name]
        if to_rows:
            expected[71:] = SENTINEL
        assert_same_bits(result, expected, name)


def test_threads_change_no_bit_of_a_map() -> None:
    epilogue = Epilogue(before=(("sigmoid",),), after=(("tanh",),))
    workload = MapWorkload(35, 35, 20, "Mul", ("row", "row"), (35, 35), False, False, epilogue=epilogue)
    images = images_of(window((1, 1), size=(5, 7)), 20)
    rows = as_rows(images, beyond=1.0)
    arrays = {"operand0": rows, "operand1": rows[::-1].copy(), "output": unwritten((1, 20, 5, 7), SENTINEL)}
    results = [Kernel(schedule_row_map(workload, threads))(arrays)["output"] for threads in THREADS for _ in range(2)]
    for result in results[1:]:
        assert_same_bits(result, results[0], "output")
