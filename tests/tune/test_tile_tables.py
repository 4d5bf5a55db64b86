"""Tables of active tiles against the kernels that make them in a network."""

from __future__ import annotations

import numpy as np
import pytest

from lascompile.kernels.mask_lists import define_compact
from lascompile.kernels.tile_lists import define_active_tiles, define_tile_table
from lascompile.sites.activity import active_count, active_pixels, decide, packed_rows
from lascompile.tune.tile_tables import tile_tables
from lascompile.workload import ROW_SLACK, ActiveTilesWorkload, CompactWorkload, TileTableWorkload
from tests.kernels.calling import Kernel
from tests.tune.tiled import Site


@pytest.mark.parametrize("site", [Site(), Site(4, patch=2), Site(patch=1, batch=2), Site(4, (9, 8), 4)], ids=str)
@pytest.mark.parametrize(("reads_packed", "packs"), [(False, False), (True, False), (False, True), (True, True)])
def test_tables_are_those_of_the_kernels(site: Site, reads_packed: bool, packs: bool) -> None:
    site = Site(site.m, site.size, site.patch, site.batch, reads_packed, packs)
    workload, activity = site.workload, site.activity
    assert activity.rows is not None and activity.tiles is not None
    decisions = decide(activity, 0.4, seed=5)
    active = active_pixels(activity.rows, decisions)
    reads, writes = tile_tables(activity, active, decisions)

    tiles, pixels = workload.tiles, workload.output_rows
    arrays: dict[str, np.ndarray] = {
        "active": np.append(active, 0).astype(np.uint8),
        "rows": np.pad(activity.tiles.reads, ((0, 1), (0, 0))),
        "pixels": np.pad(activity.tiles.writes, ((0, 1), (0, 0)), constant_values=pixels),
        "active_tiles": np.zeros(tiles + 1, np.uint8),
        "list": np.zeros(tiles + ROW_SLACK, np.int32),
        "count": np.zeros(1, np.int32),
        "position": np.zeros(tiles + 1, np.int32),
        "output_position": packed_rows(active),
        "input_table": np.zeros((tiles + ROW_SLACK, workload.positions), np.int32),
        "output_table": np.zeros((tiles + ROW_SLACK, workload.m**2), np.int32),
    }
    if activity.source is not None:
        arrays["input_position"] = packed_rows(active_pixels(activity.source, decisions))
    arrays |= Kernel(define_active_tiles(ActiveTilesWorkload(tiles, workload.m**2, pixels)))(arrays)
    arrays |= Kernel(define_compact(CompactWorkload(tiles)))({**arrays, "active": arrays["active_tiles"]}) | {
        "active": arrays["active"]
    }
    table = TileTableWorkload(tiles, workload.positions, workload.m**2, pixels, pixels, reads_packed, packs)
    made = Kernel(define_tile_table(table))(arrays)
    count = int(arrays["count"][0])
    assert 0 < count < tiles
    assert active_count(activity, 0.4, seed=5) == count
    np.testing.assert_array_equal(reads, made["input_table"][:count])
    np.testing.assert_array_equal(writes, made["output_table"][:count])
    # What the kernels leave behind the last one is what a problem has there.
    assert (made["output_table"][count : count + ROW_SLACK - 1] == pixels + 1).all()
    assert (made["input_table"][count : count + ROW_SLACK - 1] == 0).all()
