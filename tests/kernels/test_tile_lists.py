"""From active pixels to tables of Winograd tiles, against plain loops in Python."""

from __future__ import annotations

import numpy as np
import pytest

from lascompile.kernels.mask_lists import define_compact
from lascompile.kernels.tile_lists import define_active_tiles, define_tile_table
from lascompile.lower.tiles import Tiling, cut_into_tiles
from lascompile.workload import ROW_SLACK, ActiveTilesWorkload, CompactWorkload, TileTableWorkload
from tests.kernels.calling import Kernel
from tests.lower.tiling import domain_of, window_of

SIZE, BATCH, PIXELS = (7, 10), 2, 140
ACTIVITIES = {
    "nothing": np.zeros(PIXELS, bool),
    "one": np.arange(PIXELS) == 77,
    "some": np.random.default_rng(0).random(PIXELS) < 0.1,
    "everything": np.ones(PIXELS, bool),
}


def tiling_of(m: int) -> Tiling:
    return cut_into_tiles(window_of(SIZE), BATCH, m, domain_of(BATCH, SIZE, 5))


def as_flags(activity: np.ndarray) -> np.ndarray:
    """[pixels + 1] uint8: the pixel behind the last is never active."""
    return np.append(activity, False).astype(np.uint8)


def positions(activity: np.ndarray) -> np.ndarray:
    """[pixels + 1]: for each dense row its packed row, 0 where it is inactive."""
    packed = np.where(activity, np.cumsum(activity), 0)
    return np.append(0, packed).astype(np.int32)


def tables(tiling: Tiling) -> tuple[np.ndarray, np.ndarray]:
    """What each tile reads and writes, with one more that is nothing."""
    rows = np.pad(tiling.inputs, ((0, 1), (0, 0)))
    return rows, np.pad(tiling.outputs, ((0, 1), (0, 0)), constant_values=PIXELS)


def active_tiles(tiling: Tiling, flags: np.ndarray) -> np.ndarray:
    workload = ActiveTilesWorkload(tiling.tiles, tiling.m**2, PIXELS)
    made = np.full(tiling.tiles + 1, 77, np.uint8)
    arrays = {"active": flags, "pixels": tables(tiling)[1], "active_tiles": made}
    return Kernel(define_active_tiles(workload))(arrays)["active_tiles"]


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("activity", ACTIVITIES)
def test_tiles_with_an_active_pixel_run(activity: str, m: int) -> None:
    tiling, flags = tiling_of(m), as_flags(ACTIVITIES[activity])
    expected = [any(flags[pixel] for pixel in outputs) for outputs in tiling.outputs]
    assert active_tiles(tiling, flags).tolist() == [*expected, 0]


@pytest.mark.parametrize("packed", [(False, False), (True, False), (False, True), (True, True)], ids=str)
@pytest.mark.parametrize("activity", ACTIVITIES)
@pytest.mark.parametrize("m", [2, 4])
def test_tables(m: int, activity: str, packed: tuple[bool, bool]) -> None:
    """An input that is not there is row 0; an output that is not active goes to the slack row."""
    tiling, flags = tiling_of(m), as_flags(ACTIVITIES[activity])
    packed_input, packed_output = packed
    known = np.random.default_rng(1).random(PIXELS) < 0.7
    of_input = positions(known) if packed_input else np.arange(PIXELS + 1)
    of_output = positions(ACTIVITIES[activity]) if packed_output else np.arange(PIXELS + 1)
    runs = np.flatnonzero(active_tiles(tiling, flags)[: tiling.tiles])
    got = made_tables(tiling, flags, packed, known)
    np.testing.assert_array_equal(got["input_table"][: len(runs)], of_input[tiling.inputs[runs]])
    for entries, pixels in zip(got["output_table"][: len(runs)], tiling.outputs[runs], strict=True):
        expected = [of_output[pixel + 1] if flags[pixel] else PIXELS + 1 for pixel in pixels]
        assert entries.tolist() == expected
    slack = slice(len(runs), len(runs) + ROW_SLACK - 1)
    assert (got["input_table"][slack] == 0).all() and (got["output_table"][slack] == PIXELS + 1).all()


def made_tables(
    tiling: Tiling, flags: np.ndarray, packed: tuple[bool, bool], known: np.ndarray
) -> dict[str, np.ndarray]:
    """What the kernels write."""
    tiles, inputs, outputs = tiling.tiles, (tiling.m + 2) ** 2, tiling.m**2
    lists = {"list": (tiles + ROW_SLACK,), "count": (1,), "position": (tiles + 1,)}
    made = {name: np.full(shape, 2**28, np.int32) for name, shape in lists.items()}
    listed = Kernel(define_compact(CompactWorkload(tiles)))({"active": active_tiles(tiling, flags), **made})
    rows, pixels = tables(tiling)
    arrays = {
        "list": listed["list"],
        "count": listed["count"],
        "rows": rows,
        "pixels": pixels,
        "active": flags,
        "input_position": positions(known),
        "output_position": positions(flags[:-1] != 0),
        "input_table": np.full((tiles + ROW_SLACK, inputs), -1, np.int32),
        "output_table": np.full((tiles + ROW_SLACK, outputs), -1, np.int32),
    }
    return Kernel(define_tile_table(TileTableWorkload(tiles, inputs, outputs, PIXELS, PIXELS, *packed)))(arrays)
