"""Inputs of a convolution over rows that are poisoned wherever it must not look, and what must come out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from lascompile.kernels.row_conv import buffers
from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.cpu.algorithms import BF16X3, DIRECT
from lascompile.schedules.cpu.bf16x3_conv import TileDecisions
from lascompile.schedules.cpu.row_conv import Decisions
from lascompile.schedules.weight_stream import Stream
from lascompile.workload import ROW_SLACK, ConvWorkload, channel_stride
from tests.kernels.calling import SENTINEL, Kernel

NAN = np.float32(np.nan)

RELATIVE_ERROR = {"direct": 3e-6, "bf16x3": 2e-5}
"""What a result may be off, relative to the largest one, by algorithm."""

AnyDecisions = Decisions | TileDecisions
"""Of whichever algorithm: their class says which one."""


def _algorithm(decisions: AnyDecisions) -> Algorithm:
    return DIRECT if isinstance(decisions, Decisions) else BF16X3


@cache
def conv_kernel(
    workload: ConvWorkload, decisions: AnyDecisions, target: str = "llvm", stream: Stream | None = None
) -> Kernel:
    """The kernel, compiled once for all counts."""
    streams = () if stream is None else (stream,)
    return Kernel(_algorithm(decisions).schedule(workload, decisions, *streams), target)


@dataclass
class Problem:
    """The buffers of one call.

    Attributes:
        workload: What is computed.
        arrays: All buffers that the workload takes, the residual in place included in the output.
        weight: [out, in / groups, taps], not packed.
        count: Active rows.
    """

    workload: ConvWorkload
    arrays: dict[str, np.ndarray]
    weight: np.ndarray
    count: int

    @property
    def stored_at(self) -> np.ndarray:
        """Rows of the output that hold results."""
        return self._rows(self.workload.scatters)

    def _rows(self, listed: bool) -> np.ndarray:
        return self.arrays["list"][: self.count] if listed else np.arange(1, self.count + 1)

    def expected(self) -> np.ndarray:
        """The results [count, out channels] in float64, channel by channel from the definition."""
        workload, arrays = self.workload, self.arrays
        depth, per_group = self.weight.shape[1], workload.out_channels // workload.groups
        table = arrays["table"][: self.count] if workload.gathers else np.arange(1, self.count + 1)
        patches = arrays["input"][table.reshape(self.count, workload.taps)].astype(np.float64)
        result = np.zeros((self.count, workload.out_channels))
        for channel in range(workload.out_channels):
            first = channel // per_group * depth
            # [row, tap, channel] · [tap, channel]
            products = np.tensordot(patches[:, :, first : first + depth], self.weight[channel].T.astype(np.float64), 2)
            result[:, channel] = products + arrays["bias"][channel]
        return self._finished(result)

    def _finished(self, result: np.ndarray) -> np.ndarray:
        epilogue, arrays = self.workload.epilogue, self.arrays
        assert {*epilogue.before, *epilogue.after} <= {("relu",)}
        result = np.maximum(result, 0) if epilogue.before else result
        shut: np.ndarray | float = 0.0
        if epilogue.takes_residual:
            source = arrays["output" if self.workload.in_place else "residual"]
            shut_row = source[self._rows(self.workload.residual_listed), : self.workload.out_channels]
            residual = shut_row.astype(np.float64)
            shut = residual if epilogue.otherwise else 0.0
        if epilogue.gate_groups:
            groups = arrays["channel_group"][: self.workload.out_channels]
            on = arrays["group_active"][groups][:, arrays["list"][: self.count] - 1].T
            result = np.where(on != 0, result, shut)
        if epilogue.add:
            result = result + residual
        return np.maximum(result, 0) if epilogue.after else result


def problem(workload: ConvWorkload, decisions: AnyDecisions, count: int, seed: int = 0) -> Problem:
    """Random buffers with `count` active rows; what no active row reads is NaN, what is to be written is SENTINEL."""
    rng = np.random.default_rng(seed)
    depth = workload.in_channels // workload.groups
    weight = rng.standard_normal((workload.out_channels, depth, workload.taps)).astype(np.float32)
    specs = buffers(workload, width=1)
    arrays = {name: np.zeros(specs[name][0], specs[name][1]) for name in workload.arguments()}
    arrays["weight"] = _algorithm(decisions).pack(weight, workload, decisions)
    arrays["bias"][: workload.out_channels] = rng.standard_normal(workload.out_channels)
    arrays["output"][...] = SENTINEL
    active = 1 + np.sort(rng.permutation(workload.rows)[:count]).astype(np.int32)
    if "count" in arrays:
        arrays["count"][0] = count
    if "list" in arrays:
        arrays["list"][...] = _listed(active, workload, decisions)
    _fill_input(rng, workload, arrays, count)
    if workload.epilogue.gate_groups:
        arrays["group_active"][...] = rng.integers(0, 2, arrays["group_active"].shape)
        # Open for the slack row of the list, so that its being written shows.
        arrays["group_active"][0, -1] = 1
        arrays["channel_group"][...] = rng.integers(0, workload.epilogue.gate_groups, arrays["channel_group"].shape)
    if workload.epilogue.takes_residual:
        _fill_residual(rng, workload, arrays, active)
    return Problem(workload, arrays, weight, count)


def _listed(active: np.ndarray, workload: ConvWorkload, decisions: AnyDecisions) -> np.ndarray:
    """The last tile's surplus goes to the slack row that lists end in; a tile too many would hit another one."""
    listed = np.full(workload.rows + ROW_SLACK, workload.rows + 2, np.int32)
    listed[: computed_rows(len(active), decisions)] = workload.rows + 1
    listed[: len(active)] = active
    return listed


def computed_rows(count: int, decisions: AnyDecisions) -> int:
    """Rows that are stored for `count` rows: whole register tiles, but of the tile unit's only those that exist."""
    tile_rows = decisions.tile_rows if isinstance(decisions, Decisions) else 1
    return -(-count // tile_rows) * tile_rows


def _fill_input(rng: np.random.Generator, workload: ConvWorkload, arrays: dict[str, np.ndarray], count: int) -> None:
    source = np.full(arrays["input"].shape, NAN)
    source[0, : channel_stride(workload.in_channels)] = 0
    known = workload.input_rows - 1 if workload.gathers else count
    source[1 : known + 1, : workload.in_channels] = rng.standard_normal((known, workload.in_channels))
    arrays["input"] = source.astype(np.float32)
    if workload.gathers:
        # The last pixel is poisoned, and what stands in the table beyond the count points there.
        arrays["table"][...] = workload.input_rows
        arrays["table"][:count] = rng.integers(0, workload.input_rows, arrays["table"][:count].shape)


def _fill_residual(
    rng: np.random.Generator, workload: ConvWorkload, arrays: dict[str, np.ndarray], active: np.ndarray
) -> None:
    rows = active if workload.residual_listed else np.arange(1, len(active) + 1)
    residual = arrays["output"] if workload.in_place else np.full(arrays["residual"].shape, NAN, np.float32)
    residual[rows] = rng.standard_normal((len(rows), residual.shape[1]))
    arrays["output" if workload.in_place else "residual"] = residual


def check(workload: ConvWorkload, decisions: AnyDecisions, count: int, target: str = "llvm") -> np.ndarray:
    """Call the kernel, and compare every row of every buffer with what has to stand there; returns the output."""
    given = problem(workload, decisions, count)
    after = conv_kernel(workload, decisions, target)(given.arrays)
    for name in workload.arguments()[:-1]:
        assert after[name].tobytes() == given.arrays[name].tobytes(), f"{name} has changed"
    output = after["output"]
    expected = given.expected()
    scale = np.abs(expected).max(initial=1.0)
    error = RELATIVE_ERROR[_algorithm(decisions).name]
    np.testing.assert_allclose(output[given.stored_at, : workload.out_channels], expected, rtol=0, atol=error * scale)
    _check_untouched(given, decisions, output)
    return output


def _check_untouched(given: Problem, decisions: AnyDecisions, output: np.ndarray) -> None:
    """Exactly the tiles that the count needs have run, and have stored nothing but their rows."""
    workload, written = given.workload, given.stored_at
    computed = computed_rows(given.count, decisions)
    channels = slice(0, workload.out_channels)
    if workload.scatters:
        surplus = np.array([workload.rows + 1]) if computed > given.count else np.array([], int)
    else:
        surplus = np.arange(given.count + 1, computed + 1)
        assert (output[0] == 0).all(), "row 0 is not zero"
        written = np.append(written, 0)
    assert not (output[surplus, channels] == SENTINEL).all(axis=1).any(), "too few tiles have run"
    rest = np.setdiff1d(np.arange(len(output)), np.concatenate([written, surplus]))
    assert output[rest].tobytes() == given.arrays["output"][rest].tobytes(), "rows beyond the last tile were written"
