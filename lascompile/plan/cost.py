"""What an algorithm is expected to cost before anything was measured.

The cycles that arithmetic takes on one core, and those that memory takes: the slower of the two counts, and the part of
the other that is not hidden behind it. It has to order the algorithms of one convolution, not to foresee times, and
measured rows of the latency table go before it.
"""

from __future__ import annotations

from lascompile.analysis.blocks import NOMINAL_RATE
from lascompile.schedules.algorithm import Algorithm
from lascompile.target import Target
from lascompile.workload import Form

_BYTES_PER_CYCLE = 4.0
"""What memory delivers to one core."""

_UNHIDDEN = 0.5
"""Of the faster of arithmetic and memory, what is not done while the slower one goes on."""


def predict_cycles(algorithm: Algorithm, workload: Form, target: Target, threads: int) -> float:
    """Cycles until `workload` is done on `threads` cores, weights coming from memory."""
    effort = algorithm.effort(workload, workload.most * (NOMINAL_RATE if workload.counted else 1.0), target)
    memory = effort.weight_bytes / _BYTES_PER_CYCLE
    return (max(effort.cycles, memory) + _UNHIDDEN * min(effort.cycles, memory)) / threads
