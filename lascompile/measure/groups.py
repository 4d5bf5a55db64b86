"""What is measured together: the cells of one convolution, so that what is compared later is measured in turns.

Where a convolution has more cells than a group may, all algorithms of one activation rate and granularity still share a
group: it is these that a build compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lascompile.measure.cells import Measurable
from lascompile.measure.kernels import shape_of

MOST_CELLS = 20
"""Cells of a group: it is finished within 10 to 20 s, and no more than that is lost when measuring is stopped."""


def make_groups(items: Iterable[Measurable], most_cells: int = MOST_CELLS) -> list[list[Measurable]]:
    """`items` in groups of at most `most_cells`.

    Those of one convolution stay together where they fit, and those of one of its contests in any case, unless a single
    contest has more cells than that.
    """
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


def _parts(items: Sequence[Measurable], most: int) -> list[list[Measurable]]:
    """Parts of whole contests, about equally long."""
    length = -(-len(items) // -(-len(items) // most))
    parts: list[list[Measurable]] = []
    for contest in _contests(items, most):
        if parts and len(parts[-1]) < length and len(parts[-1]) + len(contest) <= most:
            parts[-1] += contest
        else:
            parts.append(contest)
    return parts


def _contests(items: Sequence[Measurable], most: int) -> Iterator[list[Measurable]]:
    """The cells of one activation rate and granularity, by rising rate; at most `most` at once."""
    contests: dict[tuple[float, tuple[int, int] | None], list[Measurable]] = {}
    for item in items:
        contests.setdefault((item.cell.task.activation_rate, item.cell.granularity), []).append(item)
    for _, contest in sorted(contests.items(), key=lambda pair: pair[0][0]):
        yield from (contest[start : start + most] for start in range(0, len(contest), most))
