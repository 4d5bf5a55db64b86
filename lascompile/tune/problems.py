"""How the call of a convolution is made up, by the form of its workload: whatever algorithm computes it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from lascompile.sites.activity import Activity
from lascompile.tune import conv_problem, winograd_problem
from lascompile.tune.problem import ConvolutionProblem
from lascompile.workload import ConvWorkload, Form, WinogradWorkload

_MAKERS: dict[type[Form], Callable[[Any, Activity, float, int], ConvolutionProblem]] = {
    ConvWorkload: conv_problem.make_problem,
    WinogradWorkload: winograd_problem.make_problem,
}


@lru_cache(maxsize=32)
def make_problem(workload: Form, activity: Activity, rate: float, seed: int) -> ConvolutionProblem:
    """Buffers for `workload` whose rows are active as `activity` says, at an activation rate; and what has to come out.

    Made once for all trials of a workload, with its answer.
    """
    return _MAKERS[type(workload)](workload, activity, rate, seed)
