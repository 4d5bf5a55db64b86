"""What a network gains, where kernels of several forms compete for one convolution."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lascompile.schedules.cpu.algorithms import ALGORITHMS
from lascompile.tune.progress import Progress, TaskProgress
from lascompile.tune.tasks import TuningTask
from tests.tune.tiled import Site
from tests.tune.tiny import DENSE, PACKED, setting, task


def state(of: TuningTask, untuned_s: float | None, best_s: float | None) -> TaskProgress:
    return TaskProgress(of, trials=1, untuned_s=untuned_s, best_s=best_s)


@pytest.fixture
def rivals() -> list[TuningTask]:
    """Three calls over rows, two of which could be over tiles, as `build` would have it."""
    site = Site()
    over_rows = replace(task(PACKED, calls=3), is_default=False)
    tiled = TuningTask(
        site.workload, ALGORITHMS["winograd2"], site.activity, 2, setting(), is_default=True, row_form=PACKED
    )
    return [over_rows, tiled]


def test_the_fastest_form_counts_once(rivals):
    alone = task(DENSE)
    states = [state(rivals[0], 8.0, 4.0), state(rivals[1], 5.0, 2.0), state(alone, 6.0, 6.0)]
    progress = Progress(states, budget=10)
    assert progress.best() == {(PACKED, 0.5): 2.0, (DENSE, 1.0): 6.0}
    assert progress.untuned() == {(PACKED, 0.5): 5.0, (DENSE, 1.0): 6.0}
    assert progress.times_s == (3 * 5.0 + 6.0, 3 * 2.0 + 6.0)
    assert progress.shares() == [0.5, 4 / 12, 0.5]


def test_what_build_would_not_choose_is_no_starting_point(rivals):
    progress = Progress([state(rivals[0], 8.0, 4.0), state(rivals[1], None, None)], budget=10)
    assert progress.times_s == (0, 0) and progress.gain is None


def test_loads_do_not_compete(rivals):
    other = replace(rivals[0], setting=replace(setting(), activation_rate=0.25))
    progress = Progress([state(rivals[0], None, 4.0), state(other, None, 2.0)], budget=10)
    assert progress.best() == {(PACKED, 0.5): 4.0, (PACKED, 0.25): 2.0}
