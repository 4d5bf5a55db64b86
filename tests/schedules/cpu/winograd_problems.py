"""Inputs of a Winograd convolution that are poisoned wherever it must not look, and what must come out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from lascompile.schedules.cpu.winograd import WinogradDecisions, pack_weight, schedule_winograd
from lascompile.schedules.cpu.winograd_loops import buffers
from lascompile.workload import ROW_SLACK, WinogradWorkload, channel_stride
from tests.kernels.calling import SENTINEL, Kernel

RELATIVE_ERROR = {2: 3e-6, 4: 1e-5}


@cache
def winograd_kernel(workload: WinogradWorkload, decisions: WinogradDecisions, target: str = "llvm") -> Kernel:
    """The kernel, compiled once for all counts."""
    return Kernel(schedule_winograd(workload, decisions), target)


@dataclass
class Problem:
    """The buffers of one call.

    Attributes:
        workload: What is computed.
        arrays: All buffers that the workload takes, the residual in place included in the output.
        weight: [out, in, 3, 3], not packed.
        count: Active tiles.
    """

    workload: WinogradWorkload
    arrays: dict[str, np.ndarray]
    weight: np.ndarray
    count: int

    @property
    def stored_at(self) -> np.ndarray:
        """Rows of the output that hold results, [count × m²]; the slack row stands for what nobody wants."""
        return self.arrays["output_table"][: self.count].reshape(-1)

    def expected(self) -> np.ndarray:
        """The results [count × m², out channels] in float64, by direct convolution of each tile."""
        workload, m = self.workload, self.workload.m
        pixels = self.arrays["input"][self.arrays["input_table"][: self.count], : workload.in_channels].astype(float)
        tiles = pixels.reshape(self.count, m + 2, m + 2, workload.in_channels)
        result = np.zeros((self.count, m, m, workload.out_channels))
        for i in range(3):
            for j in range(3):
                result += tiles[:, i : i + m, j : j + m] @ self.weight[:, :, i, j].T.astype(float)
        return self._finished(result.reshape(-1, workload.out_channels) + self.arrays["bias"][: workload.out_channels])

    def _finished(self, result: np.ndarray) -> np.ndarray:
        epilogue, arrays, rows = self.workload.epilogue, self.arrays, self.stored_at
        assert {*epilogue.before, *epilogue.after} <= {("relu",)}
        result = np.maximum(result, 0) if epilogue.before else result
        residual: np.ndarray | float = 0.0
        if epilogue.takes_residual:
            source = arrays["output" if self.workload.in_place else "residual"]
            residual = source[rows, : self.workload.out_channels].astype(float)
        if epilogue.gate_groups:
            on = arrays["group_active"][arrays["channel_group"][: self.workload.out_channels]][:, rows - 1].T
            result = np.where(on != 0, result, residual if epilogue.otherwise else 0.0)
        result = result + residual if epilogue.add else result
        return np.maximum(result, 0) if epilogue.after else result


def problem(workload: WinogradWorkload, decisions: WinogradDecisions, count: int, seed: int = 0) -> Problem:
    """Random buffers with `count` active tiles; what none of them reads is NaN, what is to be written is SENTINEL."""
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((workload.out_channels, workload.in_channels, 3, 3)).astype(np.float32)
    specs = buffers(workload, decisions)
    arrays = {name: np.zeros(specs[name][0], specs[name][1]) for name in workload.arguments()}
    arrays["weight"] = pack_weight(weight, workload, decisions)
    arrays["bias"][: workload.out_channels] = rng.standard_normal(workload.out_channels)
    arrays["output"][...] = SENTINEL
    if "count" in arrays:
        arrays["count"][0] = count
    _fill_input(rng, workload, arrays, count)
    wanted = _fill_output_table(rng, workload, arrays, count)
    if workload.epilogue.gate_groups:
        arrays["group_active"][...] = rng.integers(0, 2, arrays["group_active"].shape)
        arrays["channel_group"][...] = rng.integers(0, workload.epilogue.gate_groups, arrays["channel_group"].shape)
    if workload.epilogue.takes_residual:
        residual = arrays["output"] if workload.in_place else np.full(arrays["residual"].shape, np.nan, np.float32)
        residual[wanted] = rng.standard_normal((len(wanted), residual.shape[1]))
        arrays["output" if workload.in_place else "residual"] = residual
    return Problem(workload, arrays, weight, count)


def _fill_input(
    rng: np.random.Generator, workload: WinogradWorkload, arrays: dict[str, np.ndarray], count: int
) -> None:
    """Row 0 is read by some pixels; the last pixel is poisoned, and so are channels beyond the last."""
    source = np.full(arrays["input"].shape, np.nan)
    source[0, : channel_stride(workload.in_channels)] = 0
    known = workload.input_rows - 1
    source[1 : known + 1, : workload.in_channels] = rng.standard_normal((known, workload.in_channels))
    arrays["input"] = source.astype(np.float32)
    arrays["input_table"][...] = workload.input_rows
    arrays["input_table"][:count] = rng.integers(0, workload.input_rows, (count, workload.positions))


def _fill_output_table(
    rng: np.random.Generator, workload: WinogradWorkload, arrays: dict[str, np.ndarray], count: int
) -> np.ndarray:
    """Each row is wanted once; some outputs go to the first row of slack, and those beyond the count to another."""
    table = np.full(arrays["output_table"].size, workload.output_rows + 2, np.int32)
    outputs = count * workload.m**2
    places = 1 + rng.permutation(workload.output_rows)[:outputs]
    table[:outputs] = workload.output_rows + 1
    table[rng.permutation(outputs)[: len(places)]] = places
    arrays["output_table"] = table.reshape(arrays["output_table"].shape)
    return places


def check(workload: WinogradWorkload, decisions: WinogradDecisions, count: int, target: str = "llvm") -> None:
    """Call the kernel, and compare every row of every buffer with what has to stand there."""
    given = problem(workload, decisions, count)
    after = winograd_kernel(workload, decisions, target)(given.arrays)
    for name in workload.arguments()[:-1]:
        assert after[name].tobytes() == given.arrays[name].tobytes(), f"{name} has changed"
    output, trash = after["output"], workload.output_rows + 1
    wanted = given.stored_at != trash
    expected, rows = given.expected()[wanted], given.stored_at[wanted]
    scale = np.abs(expected).max(initial=1.0)
    actual = output[rows, : workload.out_channels]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=RELATIVE_ERROR[workload.m] * scale)
    may_change = [*rows, trash, *([] if workload.in_place else [0])]
    rest = np.setdiff1d(np.arange(workload.output_rows + ROW_SLACK), may_change)
    assert output[rest].tobytes() == given.arrays["output"][rest].tobytes(), "rows of no active tile were written"
    if not workload.in_place:
        assert (output[0] == 0).all(), "row 0 is not zero"
