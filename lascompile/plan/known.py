"""Whether a record still applies: the fingerprint of what an algorithm computes today, and its schedules.

A definition may depend on decisions. Its fingerprint is made of the variants that the algorithm's row names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache, partial
from typing import Any

from lascompile.records import Known, TargetKey, Task
from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.backends import BACKENDS
from lascompile.schedules.space import Space
from lascompile.workload import Workload


def known_algorithms(workload: Workload, kind: str, names: Iterable[str] | None = None) -> dict[str, Known]:
    """The algorithms on targets of `kind` that can compute `workload`, with the fingerprints of their definitions.

    Args:
        workload: A kernel.
        kind: As of a target; one for which no code is generated has no algorithms.
        names: Those that are asked for, and no others.
    """
    there = BACKENDS[kind].algorithms if kind in BACKENDS else {}
    wanted = there.values() if names is None else [there[name] for name in names]
    return {
        algorithm.name: Known(_fingerprint(algorithm, workload), algorithm.decisions, partial(_has, algorithm))
        for algorithm in wanted
        if algorithm.supports(workload)
    }


def _has(algorithm: Algorithm, task: Task, decisions: Any) -> bool:
    """Whether schedules by the algorithm have `decisions`."""
    return _space(algorithm, task.workload, task.target, task.threads).position(decisions) is not None


@cache
def _space(algorithm: Algorithm, workload: Workload, target: TargetKey, threads: int) -> Space:
    return algorithm.space(workload, target.target(), threads)


@cache
def _fingerprint(algorithm: Algorithm, workload: Workload) -> str:
    """Twelve digits of the variants' texts before any schedule, which TVM writes alike wherever it runs."""
    texts = "".join(variant.script() for variant in algorithm.variants(workload))
    return hashlib.sha256(texts.encode()).hexdigest()[:12]
