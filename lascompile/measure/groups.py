"""What is measured together: the cells of one convolution, so that what is compared later is measured in turns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lascompile.measure.cells import Measurable
from lascompile.measure.kernels import shape_of

MOST_CELLS = 20
"""Cells of a group: it is finished within 10 to 20 s, and no more than that is lost when measuring is stopped."""


def make_groups(items: Iterable[Measurable], most_cells: int = MOST_CELLS) -> list[list[Measurable]]:
    """`items` in groups of at most `most_cells`; those of one convolution stay together where they fit."""
    by_shape: dict[object, list[Measurable]] = {}
    for item in items:
        by_shape.setdefault((item.cell.stage, shape_of(item.job.workload)), []).append(item)
    groups: list[list[Measurable]] = []
    for alike in by_shape.values():
        for part in _parts(alike, most_cells):
            if groups and len(groups[-1]) + len(part) <= most_cells:
                groups[-1] += part
            else:
                groups.append(list(part))
    return groups


def _parts(items: Sequence[Measurable], most: int) -> list[Sequence[Measurable]]:
    """As few parts as possible, equally long but for one."""
    count = -(-len(items) // most)
    length = -(-len(items) // count)
    return [items[start : start + length] for start in range(0, len(items), length)]
