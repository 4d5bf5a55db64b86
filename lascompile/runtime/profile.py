"""Where the time of an inference goes: per kernel, per block, per part of a block."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from lascompile.manifest import Manifest, StepSpec

PARTS = ("masker", "lists", "conv", "scatter", "other")
_BUILT_IN = "vm."


@dataclass(frozen=True)
class StepTime:
    """One kernel call of an inference.

    Attributes:
        step: What it did.
        latency_s: Median of its durations, in seconds.
        activation_rate: Share of its rows that were active; None for a kernel that is not dynamic.
    """

    step: StepSpec
    latency_s: float
    activation_rate: float | None


@dataclass(frozen=True)
class Profile:
    """The times of one input.

    Attributes:
        steps: In order of execution.
        latency_s: Median duration of the whole inference under the profiler, in seconds.
    """

    steps: tuple[StepTime, ...]
    latency_s: float

    def by_block(self) -> dict[str, dict[str, float]]:
        """Seconds per block and part; "" holds what belongs to no block."""
        table: dict[str, dict[str, float]] = {}
        for entry in self.steps:
            parts = table.setdefault(entry.step.block, dict.fromkeys(PARTS, 0.0))
            parts[entry.step.part] += entry.latency_s
        return table

    def activation_rates(self) -> dict[str, float]:
        """By ONNX node of a dynamic kernel: the share of its pixels that was active."""
        return {entry.step.node: entry.activation_rate for entry in self.steps if entry.activation_rate is not None}


@contextmanager
def _interrupted_afterwards() -> Iterator[None]:
    """Let Ctrl-C wait until what is inside has ended: TVM, which calls back into Python there, makes an error of it."""
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    if pressed:
        raise KeyboardInterrupt


class Profiler:
    """Collects the times of several inferences."""

    def __init__(self, manifest: Manifest, workspace: Sequence[np.ndarray]) -> None:
        self._steps = manifest.steps
        self._workspace = workspace
        self._runs: list[list[float]] = []
        self._totals: list[float] = []

    @contextmanager
    def watch(self, executable: Any) -> Iterator[None]:  # noqa: ANN401 - tvm_ffi.Module
        """Time every kernel that `executable` calls inside."""
        times: list[float] = []
        started = [0.0]

        def instrument(_function: Any, symbol: str, before: bool, *_rest: Any) -> int:  # noqa: ANN401
            if symbol.startswith(_BUILT_IN):
                return 0
            if before:
                started[0] = time.perf_counter()
            else:
                times.append(time.perf_counter() - started[0])
            return 0

        with _interrupted_afterwards():
            executable["set_instrument"](instrument)
            begin = time.perf_counter()
            try:
                yield
            finally:
                self._totals.append(time.perf_counter() - begin)
                executable["set_instrument"](None)
        self._runs.append(times)

    def profile(self) -> Profile:
        """What was seen, over all runs."""
        steps = []
        for position, step in enumerate(self._steps):
            rate = None if step.count is None else float(self._workspace[step.count][0]) / step.rows
            steps.append(StepTime(step, median(run[position] for run in self._runs), rate))
        return Profile(tuple(steps), median(self._totals))
