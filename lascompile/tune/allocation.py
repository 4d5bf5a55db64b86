"""Which task gets the next trials.

Each task is tried once, the costliest first. Then the next round goes to the task by which the network may gain most:

    calls × latency × expected gain × standing²

- calls × latency is what the network spends in the task's convolution, in the best form and by the best algorithm so
  far.
- The expected gain is what the last two rounds brought, relative to what there was, but at least 1 / (3 · rounds): a
  task that found nothing for long may still do so, if less and less likely.
- A task whose best is k times as slow as the convolution's best stands at 1/k: it has to make that good first.
"""

from __future__ import annotations

from collections.abc import Sequence

from lascompile.tune.progress import Progress, TaskProgress

ROUND = 8
"""Trials of a round."""

_HOPELESS = 2 * ROUND
"""After so many trials of which all failed, a task is given up."""


def choose_task(progress: Progress) -> TaskProgress | None:
    """The task whose turn it is; None if nothing is left to try."""
    open_tasks = [task for task in progress.tasks if not task.exhausted and not _is_hopeless(task)]
    untried = [task for task in open_tasks if not task.trials]
    if untried:
        return max(untried, key=lambda task: task.task.calls * task.task.workload.flops * task.task.rate)
    best = progress.best()
    return max(open_tasks, key=lambda task: potential(task, best.get(task.task.contest)), default=None)


def potential(task: TaskProgress, lowest_s: float | None) -> float:
    """Seconds of an inference that a round may save."""
    if lowest_s is None or task.best_s is None:
        # Nothing works yet: costly enough to look on, by what the operations would take at 10 GFLOP/s.
        seconds = lowest_s or task.task.workload.flops * task.task.rate / 1e10
        return task.task.calls * seconds * _floor(task.trials) / (1 + task.trials)
    standing = lowest_s / task.best_s
    return task.task.calls * lowest_s * max(_recent_gain(task.best_after), _floor(task.trials)) * standing**2


def _recent_gain(best_after: Sequence[float | None]) -> float:
    """What the last two rounds brought, relative to what there was before them, a round."""
    now = best_after[-1]
    before = next((one for one in best_after[-1 - 2 * ROUND :] if one is not None), None)
    return 0.0 if now is None or before is None else (before - now) / before / 2


def _floor(trials: int) -> float:
    return 1 / (3 * max(1.0, trials / ROUND))


def _is_hopeless(task: TaskProgress) -> bool:
    return task.failed == task.trials >= _HOPELESS
