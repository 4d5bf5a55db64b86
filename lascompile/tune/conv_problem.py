"""Buffers of a convolution as a network would fill them, poisoned wherever the kernel must not look, and the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lascompile.kernels.row_conv import buffers
from lascompile.plan.algorithms import Algorithm
from lascompile.tune.activity import Activity, active_pixels, decide, group_active, row_list, row_table
from lascompile.workload import ROW_SLACK, Activation, ConvWorkload

SENTINEL = np.float32(-12345.0)
"""What stands in an output before a kernel writes it."""


@dataclass
class ConvProblem:
    """One call of a convolution.

    Attributes:
        workload: What is computed.
        arrays: By name, all buffers but the weights; the residual in place is the output.
        weight: [out, in / groups, taps, 1], not packed.
        count: Active rows.
    """

    workload: ConvWorkload
    arrays: dict[str, np.ndarray]
    weight: np.ndarray
    count: int

    def arguments(self, algorithm: Algorithm, decisions: Any) -> list[np.ndarray]:
        """All buffers in the kernel's order, weights packed as it takes them."""
        given = self.arrays | {"weight": algorithm.pack(self.weight, self.workload, decisions)}
        return [given[name] for name in self.workload.arguments()]

    @cached_property
    def expected(self) -> np.ndarray:
        """The results [count, out channels] in float64."""
        return self._finished(self._sums() + self.arrays["bias"][: self.workload.out_channels])

    def fault(self, output: np.ndarray, tolerance: float) -> str | None:
        """What is wrong with a kernel's `output`, or None.

        Args:
            output: All its rows.
            tolerance: The largest error that is allowed, as a share of the largest number expected.
        """
        expected = self.expected
        result = output[self._stored_at, : self.workload.out_channels].astype(np.float64)
        error, scale = np.abs(result - expected).max(initial=0.0), np.abs(expected).max(initial=1.0)
        if not error <= tolerance * scale:
            return f"largest error {error:.3g}, where numbers are as large as {scale:.3g} ({self.count} active rows)"
        if not self.workload.scatters and (output[0] != 0).any():
            return "row 0 of the output is not zero"
        before, after = self.arrays["output"][self._untouched], output[self._untouched]
        if before.tobytes() != after.tobytes():
            return f"rows were written that nobody asked for ({self.count} active rows)"
        return None

    @property
    def _stored_at(self) -> np.ndarray:
        return self._rows(self.workload.scatters)

    @property
    def _untouched(self) -> np.ndarray:
        """Rows of the output that must stay as they are: neither results nor the last tile's surplus."""
        untouched = np.ones(len(self.arrays["output"]), bool)
        untouched[0] = False
        untouched[self._stored_at] = False
        surplus = self.workload.rows + 1 if self.workload.scatters else self.count + 1
        untouched[surplus : surplus + (1 if self.workload.scatters else ROW_SLACK - 1)] = False
        return untouched

    def _rows(self, listed: bool) -> np.ndarray:
        return self.arrays["list"][: self.count] if listed else np.arange(1, self.count + 1)

    def _sums(self) -> np.ndarray:
        workload = self.workload
        rows = self.arrays["table"][: self.count] if workload.gathers else np.arange(1, self.count + 1)
        read = self.arrays["input"][rows.reshape(self.count, workload.taps), : workload.in_channels].astype(np.float64)
        weight = self.weight[..., 0].astype(np.float64)
        if workload.is_depthwise:
            return np.einsum("mtc,ct->mc", read, weight[:, 0])
        groups, per_group = workload.groups, workload.in_channels // workload.groups
        by_group = read.reshape(self.count, workload.taps, groups, per_group).transpose(2, 0, 1, 3)
        factors = weight.reshape(groups, -1, per_group, workload.taps).transpose(0, 3, 2, 1)
        depth = workload.taps * per_group
        sums = by_group.reshape(groups, self.count, depth) @ factors.reshape(groups, depth, -1)
        return sums.transpose(1, 0, 2).reshape(self.count, workload.out_channels)

    def _finished(self, result: np.ndarray) -> np.ndarray:
        epilogue, arrays = self.workload.epilogue, self.arrays
        result = _activate(result, epilogue.before)
        residual: np.ndarray | float = 0.0
        if epilogue.takes_residual:
            source = arrays["output" if self.workload.in_place else "residual"]
            rows = self._rows(self.workload.residual_listed)
            residual = source[rows, : self.workload.out_channels].astype(np.float64)
        if epilogue.gate_groups:
            groups = arrays["channel_group"][: self.workload.out_channels]
            on = arrays["group_active"][groups][:, arrays["list"][: self.count] - 1].T
            result = np.where(on != 0, result, residual if epilogue.otherwise else 0.0)
        if epilogue.add:
            result = result + residual
        return _activate(result, epilogue.after)


def make_problem(workload: ConvWorkload, activity: Activity, rate: float, seed: int) -> ConvProblem:
    """Random numbers under masks of the activation rate `rate`; what no active row reads is NaN.

    A kernel that is not dynamic computes all its rows, whatever the rate.
    """
    rng = np.random.default_rng(seed)
    weight = _weight(workload, rng)
    specs = buffers(workload, 1)
    arrays = {name: np.zeros(specs[name][0], specs[name][1]) for name in workload.arguments() if name != "weight"}
    arrays["bias"][: workload.out_channels] = rng.standard_normal(workload.out_channels)
    arrays["output"][...] = SENTINEL
    decisions = decide(activity, rate, seed)
    active = np.ones(workload.rows, bool)
    if activity.rows is not None:
        active = active_pixels(activity.rows, decisions)
    count = int(active.sum()) if workload.counted else workload.rows
    if workload.uses_list:
        arrays["list"][...] = row_list(active)
    if workload.counted:
        arrays["count"][0] = count
    if workload.gathers:
        _fill_table(workload, activity, active, decisions, arrays)
    if workload.epilogue.gate_groups:
        _fill_gate(workload, activity, decisions, arrays)
    problem = ConvProblem(workload, arrays, weight, count)
    _fill_input(problem, rng)
    _fill_residual(problem, rng)
    return problem


def _weight(workload: ConvWorkload, rng: np.random.Generator) -> np.ndarray:
    depth = workload.in_channels // workload.groups
    shape = (workload.out_channels, depth, workload.taps, 1)
    # Results of deviation about 1, as behind a batch norm.
    return (rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(depth * workload.taps))).astype(np.float32)


def _fill_table(
    workload: ConvWorkload,
    activity: Activity,
    active: np.ndarray,
    decisions: Mapping[str, np.ndarray],
    arrays: dict[str, np.ndarray],
) -> None:
    """Behind the last active row stands what the network's kernels leave there: rows that exist, or none."""
    table = arrays["table"]
    if activity.constant_table is not None:
        table[...] = np.frombuffer(activity.constant_table, np.int32).reshape(table.shape)
        return
    if activity.window is None:
        table[...] = row_list(active)
        return
    rows = row_table(activity, active, decisions)
    table[: len(rows)] = rows if workload.taps > 1 else rows[:, 0]


def _fill_gate(
    workload: ConvWorkload, activity: Activity, decisions: Mapping[str, np.ndarray], arrays: dict[str, np.ndarray]
) -> None:
    groups = workload.epilogue.gate_groups
    mask = next((mask for mask in activity.masks.values() if mask.groups == groups), None)
    on = arrays["group_active"]
    if mask is not None and mask.indices.shape[1] == workload.rows:
        on[:, :-1] = group_active(mask, decisions)
    else:
        on[:, :-1] = np.arange(groups)[:, None] == np.arange(workload.rows) % groups
    channels = workload.out_channels
    arrays["channel_group"][:channels] = np.arange(channels) * groups // channels


def _fill_input(problem: ConvProblem, rng: np.random.Generator) -> None:
    workload, arrays = problem.workload, problem.arrays
    rows = arrays["table"][: problem.count] if workload.gathers else np.arange(1, problem.count + 1)
    read = np.unique(rows[rows > 0])
    arrays["input"][1:] = np.nan
    arrays["input"][read, : workload.in_channels] = rng.standard_normal((len(read), workload.in_channels), np.float32)


def _fill_residual(problem: ConvProblem, rng: np.random.Generator) -> None:
    workload, arrays = problem.workload, problem.arrays
    if not workload.epilogue.takes_residual:
        return
    target = arrays["output" if workload.in_place else "residual"]
    if not workload.in_place:
        target[...] = np.nan
    rows = problem._rows(workload.residual_listed)
    target[rows] = rng.standard_normal((len(rows), target.shape[1]), np.float32)


def _activate(values: np.ndarray, activations: tuple[Activation, ...]) -> np.ndarray:
    for name, *parameters in activations:
        values = _ACTIVATIONS[str(name)](values, *parameters)
    return values


def _hard_sigmoid(x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    return np.clip(alpha * x + beta, 0.0, 1.0)


_ACTIVATIONS: dict[str, Callable[..., np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "clip": np.clip,
    "leaky_relu": lambda x, alpha: np.where(x < 0, alpha * x, x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5),
    "tanh": np.tanh,
    "elu": lambda x, alpha: np.where(x < 0, alpha * np.expm1(x), x),
    "neg": np.negative,
    "abs": np.abs,
}
"""The functions of `lascompile.kernels.activation`, a second time: a reference owes nothing to what it checks."""
