"""The argument maker of Winograd convolutions over tiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lascompile.kernels.winograd import buffers
from lascompile.kernels.winograd_transforms import TAPS
from lascompile.sites.activity import Activity, active_pixels, decide
from lascompile.tune.problem import ConvolutionProblem, blank_arrays, random_weight
from lascompile.tune.tile_tables import tile_tables
from lascompile.workload import ROW_SLACK, WinogradWorkload


@dataclass
class WinogradProblem(ConvolutionProblem):
    """One call of a Winograd convolution, whose weights are [out, in, 3, 3].

    A result is an output of an active tile that somebody wants.
    """

    workload: WinogradWorkload

    @property
    def read(self) -> np.ndarray:
        """[count, (m + 2)²]."""
        return self.arrays["input_table"][: self.count]

    @property
    def stored_at(self) -> np.ndarray:
        """[results]."""
        return self.arrays["output_table"][: self.count][self._is_wanted]

    @property
    def residual_at(self) -> np.ndarray:
        """[results]."""
        return self.stored_at

    @property
    def pixels(self) -> np.ndarray:
        """[results]; where there are gates, the output is dense."""
        return self.stored_at - 1

    @property
    def surplus(self) -> slice:
        """The slack row, where outputs go that nobody wants."""
        return slice(self._slack_row, self._slack_row + 1)

    def sums(self) -> np.ndarray:
        """[results, out channels], by direct convolution of each tile."""
        workload, m = self.workload, self.workload.m
        pixels = self.arrays["input"][self.read, : workload.in_channels].astype(np.float64)
        tiles = pixels.reshape(self.count, m + 2, m + 2, workload.in_channels)
        weight = self.weight.astype(np.float64)
        is_wanted = self._is_wanted.reshape(self.count, m, m)
        sums = np.zeros((int(is_wanted.sum()), workload.out_channels))
        for i, j in np.ndindex(TAPS, TAPS):
            sums += tiles[:, i : i + m, j : j + m][is_wanted] @ weight[:, :, i, j].T
        return sums

    @property
    def _slack_row(self) -> int:
        return self.workload.output_rows + 1

    @property
    def _is_wanted(self) -> np.ndarray:
        """[count, m²] bool."""
        return self.arrays["output_table"][: self.count] != self._slack_row


def make_problem(workload: WinogradWorkload, activity: Activity, rate: float, seed: int) -> WinogradProblem:
    """Random numbers under masks of the activation rate `rate`; what no active tile reads is NaN.

    A kernel that is not dynamic computes all its tiles, whatever the rate.
    """
    rng = np.random.default_rng(seed)
    weight = random_weight((workload.out_channels, workload.in_channels, TAPS, TAPS), rng)
    arrays = blank_arrays(workload, buffers(workload), not workload.in_place, rng)
    decisions = decide(activity, rate, seed)
    active = np.ones(workload.output_rows, bool)
    if activity.rows is not None:
        active = active_pixels(activity.rows, decisions)
    reads, writes = tile_tables(activity, active, decisions)
    count = len(reads)
    _fill_tables(arrays, reads, writes, workload.output_rows + 1)
    if workload.counted:
        arrays["count"][0] = count
    problem = WinogradProblem(workload, arrays, weight, count)
    problem.fill(activity, decisions, rng)
    return problem


def _fill_tables(arrays: dict[str, np.ndarray], reads: np.ndarray, writes: np.ndarray, slack_row: int) -> None:
    """Behind the last active tile stand tiles of nothing, as the network's kernels leave them.

    Behind those stands what was there before; a kernel that looks at it writes where nobody asked for it.
    """
    count = len(reads)
    arrays["input_table"][:count] = reads
    arrays["output_table"][...] = slack_row + 1
    arrays["output_table"][:count] = writes
    arrays["output_table"][count : count + ROW_SLACK - 1] = slack_row
