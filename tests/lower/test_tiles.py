"""How maps are cut into Winograd tiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lascompile.lower.tiles import cut_into_tiles, suits_tiles
from tests.lower.tiling import cells_of, domain_of, window_of

SIZES = ((8, 8), (13, 10), (5, 14), (3, 2))
PATCHES = (1, 2, 3, 4, 5, 7, 8)


def direct_rows(window, batch: int) -> np.ndarray:
    """[pixels, 3, 3]: what the window reads for each output pixel, 0 outside of the image."""
    (height, width), (out_height, out_width) = window.input_size, window.output_size
    image, y, x, i, j = np.ogrid[:batch, :out_height, :out_width, :3, :3]
    row, column = y + i - window.pad[0], x + j - window.pad[1]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return np.where(inside, (image * height + row) * width + column + 1, 0).reshape(-1, 3, 3)


def check_numbers(tiling, window, batch: int) -> None:
    """Every output pixel is written by one tile, whose inputs under the window are the pixel's own."""
    pixels = batch * window.output_size[0] * window.output_size[1]
    wanted = tiling.outputs != pixels
    assert sorted(tiling.outputs[wanted].tolist()) == [*range(pixels)]
    assert wanted.any(axis=1).all(), "a tile that nobody wants"
    side = tiling.m + 2
    inputs, rows = tiling.inputs.reshape(-1, side, side), direct_rows(window, batch)
    for tile, place in zip(*np.nonzero(wanted), strict=True):
        i, j = divmod(int(place), tiling.m)
        np.testing.assert_array_equal(inputs[tile, i : i + 3, j : j + 3], rows[tiling.outputs[tile, place]])


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("patch", PATCHES)
def test_patches(patch: int, size: tuple[int, int], m: int) -> None:
    window, batch = window_of(size), 2
    tiling = cut_into_tiles(window, batch, m, domain_of(batch, size, patch))
    check_numbers(tiling, window, batch)
    cells = np.append(cells_of(batch, size, patch).reshape(-1), -1)[tiling.outputs]
    assert all(len({*row} - {-1}) == 1 for row in cells.tolist()), "a tile straddles patches"
    axis_tiles = [sum(-(-min(patch, side - start) // m) for start in range(0, side, patch)) for side in size]
    assert tiling.tiles == batch * axis_tiles[0] * axis_tiles[1]


@pytest.mark.parametrize(("m", "patch"), [(2, 2), (2, 3), (2, 5), (4, 4), (4, 5), (4, 7), (4, 8)])
def test_tiles_read_what_their_patch_needs(m: int, patch: int) -> None:
    """Where tiles fit into a patch, they overlap instead of reaching over its edge."""
    size = (2 * patch, 3 * patch)
    window = window_of(size)
    tiling = cut_into_tiles(window, 1, m, domain_of(1, size, patch))
    cells, needed = cells_of(1, size, patch).reshape(-1), direct_rows(window, 1)
    for inputs, outputs in zip(tiling.inputs, tiling.outputs, strict=True):
        cell = cells[outputs.min()]
        assert {*inputs.tolist()} <= {*needed[cells == cell].reshape(-1).tolist(), 0}


@pytest.mark.parametrize("m", [2, 4])
def test_two_masks_cut_at_the_boundaries_of_both(m: int) -> None:
    size = (12, 12)
    tiling = cut_into_tiles(window_of(size), 1, m, domain_of(1, size, 4, 6))
    check_numbers(tiling, window_of(size), 1)
    for patch in (4, 6):
        cells = np.append(cells_of(1, size, patch).reshape(-1), -1)[tiling.outputs]
        assert all(len({*row} - {-1}) == 1 for row in cells.tolist())


@pytest.mark.parametrize("m", [2, 4])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("pad", [(0, 0), (0, 1), (1, 1), (2, 0), (2, 2)])
def test_dense_maps_of_any_padding(pad: tuple[int, int], batch: int, m: int) -> None:
    size, shrinks = (9, 11), (2 - 2 * pad[0], 2 - 2 * pad[1])
    window = window_of(size, pad, shrinks)
    tiling = cut_into_tiles(window, batch, m, None)
    check_numbers(tiling, window, batch)
    height, width = window.output_size
    assert tiling.tiles == batch * -(-height // m) * -(-width // m)


def test_which_windows_suit() -> None:
    window = window_of((8, 8))
    assert suits_tiles(window)
    for change in ({"kernel": (1, 1)}, {"kernel": (3, 1)}, {"stride": (2, 2)}, {"dilation": (1, 2)}):
        assert not suits_tiles(replace(window, **change))
