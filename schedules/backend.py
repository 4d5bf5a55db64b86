"""All that computes a network on a kind of target, in one row: `schedules/<target>/backend.py` has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.numerics import Numerics
from lascompile.schedules.work import Engine, Work
from lascompile.target import Target
from lascompile.workload import Workload


@dataclass(frozen=True)
class Backend:
    """A kind of target.

    Attributes:
        algorithms: Of convolutions, by name, in the order in which equals win.
        kernels: The schedule of every other workload, by its class: a workload, a target and a number of threads → the
            kernel. Element-wise kernels, poolings, layouts, copies, lists and tables.
        work: By a workload's class, what such a kernel makes an engine do: of a workload, the share of its rows that is
            active, engines, and one of them.
        pipeline: Registers TVM's lowering pipeline for this kind of target, and returns its name.
    """

    algorithms: Mapping[str, Algorithm]
    kernels: Mapping[type[Workload], Callable[[Any, Any, int], tirx.PrimFunc]]
    work: Mapping[type[Workload], Callable[[Any, float, int, Engine], Work]]
    pipeline: Callable[[], str]

    @property
    def exact(self) -> Algorithm:
        """What computes a convolution where nothing that takes products apart may: the first of exact numerics."""
        return next(algorithm for algorithm in self.algorithms.values() if algorithm.numerics is Numerics.EXACT)

    def serving(self, workload: Workload, target: Target, numerics: Numerics) -> list[Algorithm]:
        """The algorithms that may compute `workload` on `target`; none for one that is no convolution."""
        return [algorithm for algorithm in self.algorithms.values() if algorithm.serves(workload, target, numerics)]
