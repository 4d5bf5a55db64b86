"""The argument maker of convolutions over rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lascompile.kernels.row_conv import buffers
from lascompile.sites.activity import Activity, Decisions, active_pixels, decide, row_list, row_table
from lascompile.tune.problem import ConvolutionProblem, blank_arrays, random_weight
from lascompile.workload import ROW_SLACK, ConvWorkload


@dataclass
class ConvProblem(ConvolutionProblem):
    """One call of a convolution over rows, whose weights are [out, in / groups, taps, 1]."""

    workload: ConvWorkload

    @property
    def read(self) -> np.ndarray:
        """[count, taps] or [count]."""
        return self.arrays["table"][: self.count] if self.workload.gathers else np.arange(1, self.count + 1)

    @property
    def stored_at(self) -> np.ndarray:
        """[count]."""
        return self._rows(self.workload.scatters)

    @property
    def residual_at(self) -> np.ndarray:
        """[count]."""
        return self._rows(self.workload.residual_listed)

    @property
    def pixels(self) -> np.ndarray:
        """[count]."""
        return self._rows(listed=True) - 1

    @property
    def surplus(self) -> slice:
        """The slack row of a dense map, or those that the last tile fills."""
        rows = self.workload.rows
        return slice(rows + 1, rows + 2) if self.workload.scatters else slice(self.count + 1, self.count + ROW_SLACK)

    def sums(self) -> np.ndarray:
        """[count, out channels]."""
        workload = self.workload
        rows = self.read.reshape(self.count, workload.taps)
        read = self.arrays["input"][rows, : workload.in_channels].astype(np.float64)
        weight = self.weight[..., 0].astype(np.float64)
        if workload.is_depthwise:
            return np.einsum("mtc,ct->mc", read, weight[:, 0])
        groups, per_group = workload.groups, workload.in_channels // workload.groups
        by_group = read.reshape(self.count, workload.taps, groups, per_group).transpose(2, 0, 1, 3)
        factors = weight.reshape(groups, -1, per_group, workload.taps).transpose(0, 3, 2, 1)
        depth = workload.taps * per_group
        sums = by_group.reshape(groups, self.count, depth) @ factors.reshape(groups, depth, -1)
        return sums.transpose(1, 0, 2).reshape(self.count, workload.out_channels)

    def _rows(self, listed: bool) -> np.ndarray:
        return self.arrays["list"][: self.count] if listed else np.arange(1, self.count + 1)


def make_problem(workload: ConvWorkload, activity: Activity, rate: float, seed: int) -> ConvProblem:
    """Random numbers under masks of the activation rate `rate`; what no active row reads is NaN.

    A kernel that is not dynamic computes all its rows, whatever the rate.
    """
    rng = np.random.default_rng(seed)
    weight_shape = (workload.out_channels, workload.in_channels // workload.groups, workload.taps, 1)
    weight = random_weight(weight_shape, rng)
    arrays = blank_arrays(workload, buffers(workload, 1), not workload.scatters, rng)
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
    problem = ConvProblem(workload, arrays, weight, count)
    problem.fill(activity, decisions, rng)
    return problem


def _fill_table(
    workload: ConvWorkload,
    activity: Activity,
    active: np.ndarray,
    decisions: Decisions,
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
