"""One call of a convolution: buffers as a network would fill them, and what has to come out.

They are poisoned: what the kernel must not look at is NaN, and what it must not write holds a sentinel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lascompile.kernels.definition import BufferSpec
from lascompile.schedules.algorithm import Algorithm
from lascompile.sites.activity import Activity, Decisions, group_active
from lascompile.tune.epilogue_reference import finished
from lascompile.workload import Form, WinogradWorkload

SENTINEL = np.float32(-12345.0)
"""What stands in an output before a kernel writes it."""


@dataclass
class ConvolutionProblem(ABC):
    """One call of a convolution.

    A *result* is what is computed for one pixel, all its channels. Results have an order; their number is that of
    `stored_at`.

    Attributes:
        workload: What is computed.
        arrays: By name, all buffers but the weights; the residual in place is the output.
        weight: As ONNX has it, [out, in / groups, …], not packed.
        count: Active rows or tiles.
    """

    workload: Form
    arrays: dict[str, np.ndarray]
    weight: np.ndarray
    count: int

    @property
    @abstractmethod
    def read(self) -> np.ndarray:
        """The rows of the input that the kernel may look at, whichever shape; row 0 may be among them."""

    @property
    @abstractmethod
    def stored_at(self) -> np.ndarray:
        """The row of the output of each result."""

    @property
    @abstractmethod
    def residual_at(self) -> np.ndarray:
        """The row of the residual of each result."""

    @property
    @abstractmethod
    def pixels(self) -> np.ndarray:
        """The pixel of the map of each result; asked for where there are gates."""

    @property
    @abstractmethod
    def surplus(self) -> slice:
        """Rows of the output into which the kernel may write what nobody reads."""

    @abstractmethod
    def sums(self) -> np.ndarray:
        """The results [results, out channels] in float64, before bias and epilogue."""

    def arguments(self, algorithm: Algorithm, decisions: Any) -> list[np.ndarray]:
        """All buffers in the kernel's order, weights packed as it takes them."""
        given = self.arrays | {"weight": algorithm.pack(self.weight, self.workload, decisions)}
        return [given[name] for name in self.workload.arguments()]

    @cached_property
    def expected(self) -> np.ndarray:
        """The results [results, out channels] in float64."""
        channels, epilogue, arrays = self.workload.out_channels, self.workload.epilogue, self.arrays
        residual: np.ndarray | float = 0.0
        if epilogue.takes_residual:
            residual = arrays[self._residual][self.residual_at, :channels].astype(np.float64)
        is_on = None
        if epilogue.gate_groups:
            is_on = arrays["group_active"][arrays["channel_group"][:channels]][:, self.pixels].T != 0
        return finished(epilogue, self.sums() + arrays["bias"][:channels], residual, is_on)

    def fault(self, output: np.ndarray, tolerance: float) -> str | None:
        """What is wrong with a kernel's `output`, or None.

        Args:
            output: All its rows.
            tolerance: The largest error that is allowed, as a share of the largest number expected.
        """
        expected = self.expected
        result = output[self.stored_at, : self.workload.out_channels].astype(np.float64)
        error, scale = np.abs(result - expected).max(initial=0.0), np.abs(expected).max(initial=1.0)
        unit = "tiles" if isinstance(self.workload, WinogradWorkload) else "rows"
        if not error <= tolerance * scale:
            return f"largest error {error:.3g}, where numbers are as large as {scale:.3g} ({self.count} active {unit})"
        if (output[0] != 0).any():
            return "row 0 of the output is not zero"
        before, after = self.arrays["output"][self._untouched], output[self._untouched]
        if before.tobytes() != after.tobytes():
            return f"rows were written that nobody asked for ({self.count} active {unit})"
        return None

    def fill(self, activity: Activity, decisions: Decisions, rng: np.random.Generator) -> None:
        """Fill input, residual and gates; all that says where rows lie stands in `arrays` already."""
        self._fill_input(rng)
        if self.workload.epilogue.gate_groups:
            self._fill_gate(activity, decisions)
        if self.workload.epilogue.takes_residual:
            self._fill_residual(rng)

    @property
    def _residual(self) -> str:
        """The buffer that the residual is in."""
        return "output" if self.workload.in_place else "residual"

    @property
    def _untouched(self) -> np.ndarray:
        """Rows of the output that must stay as they are."""
        untouched = np.ones(len(self.arrays["output"]), bool)
        untouched[0] = False
        untouched[self.stored_at] = False
        untouched[self.surplus] = False
        return untouched

    def _fill_input(self, rng: np.random.Generator) -> None:
        source, channels = self.arrays["input"], self.workload.in_channels
        rows = np.unique(self.read)
        rows = rows[rows > 0]
        source[1:] = np.nan
        source[rows, :channels] = rng.standard_normal((len(rows), channels), np.float32)

    def _fill_gate(self, activity: Activity, decisions: Decisions) -> None:
        groups, channels = self.workload.epilogue.gate_groups, self.workload.out_channels
        on = self.arrays["group_active"]
        pixels = on.shape[1] - 1
        mask = next((mask for mask in activity.masks.values() if mask.groups == groups), None)
        if mask is not None and mask.indices.shape[1] == pixels:
            on[:, :-1] = group_active(mask, decisions)
        else:
            on[:, :-1] = np.arange(groups)[:, None] == np.arange(pixels) % groups
        self.arrays["channel_group"][:channels] = np.arange(channels) * groups // channels

    def _fill_residual(self, rng: np.random.Generator) -> None:
        residual, rows = self.arrays[self._residual], self.residual_at
        if not self.workload.in_place:
            residual[...] = np.nan
        residual[rows] = rng.standard_normal((len(rows), residual.shape[1]), np.float32)


def random_weight(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Weights [out, in / groups, …] of which results have a deviation of about 1, as behind a batch norm."""
    products = int(np.prod(shape[1:]))
    return (rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(products))).astype(np.float32)


def blank_arrays(
    workload: Form, specs: Mapping[str, BufferSpec], clears_row_0: bool, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """All buffers but the weights: a random bias, the output all SENTINEL, the others zero.

    Args:
        workload: The kernel.
        specs: Of each buffer.
        clears_row_0: Whether the kernel is the one that writes row 0 of the output; else it is zero already.
        rng: Chance.
    """
    names = [name for name in workload.arguments() if name != "weight"]
    arrays = {name: np.zeros(specs[name][0], specs[name][1]) for name in names}
    arrays["bias"][: workload.out_channels] = rng.standard_normal(workload.out_channels)
    arrays["output"][0 if clears_row_0 else 1 :] = SENTINEL
    return arrays
