"""Tables of the Winograd tiles that are active, as the network's own kernels make them, but in NumPy.

See `lascompile.lower.tiles` and `lascompile.kernels.tile_lists`.
"""

from __future__ import annotations

import numpy as np

from lascompile.sites.activity import Activity, Decisions, active_pixels, packed_rows


def tile_tables(activity: Activity, active: np.ndarray, decisions: Decisions) -> tuple[np.ndarray, np.ndarray]:
    """The rows that each active tile reads, [count, (m + 2)²] int32, and those that it writes, [count, m²] int32.

    Args:
        activity: With tiles.
        active: The pixels that are computed, [pixels] bool.
        decisions: Of the masks.
    """
    tiles = activity.tiles
    assert tiles is not None
    # Behind the last pixel stands the one that tiles name where they have none.
    is_active = np.append(active, False)[tiles.writes]
    runs = is_active.any(axis=1)
    reads = tiles.reads[runs]
    if activity.source is not None:
        reads = packed_rows(active_pixels(activity.source, decisions))[reads]
    slack_row = len(active) + 1
    rows = packed_rows(active) if activity.packs else np.arange(len(active) + 1)
    writes = np.append(rows, slack_row)[tiles.writes[runs] + 1]
    return reads, np.where(is_active[runs], writes, slack_row).astype(np.int32)
