"""Seconds of a kernel from what it has to do and what the engine does at best: the analytical model.

    seconds = launch + (arithmetic^p + memory^p)^(1/p)

Arithmetic is the sum over everything that the busiest engine issues, where multiply-adds and the loads that feed them
are issued side by side, so that the slower of the two counts. Memory is the sum over everything that crosses the border
of the engine's own memory. Both go on at the same time, as far as the exponent says: p = 1 is one after the other, and
without end it is the slower one alone (the LASNet paper, section 3.3, adds them up: p = 1).

Each rate is derived from a data sheet here; `calibration` fits the same rates to measured kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

from lascompile.machine import DataSheet
from lascompile.schedules.work import Work

_LOADS_PER_CYCLE = 2
"""Of a core's first-level cache (Intel 248966, section 2; AMD 57647, section 2.12)."""

_TILE_CYCLES = 4
"""Loop, zeros and bias of a register tile; assumed."""

_TRANSFORM_CYCLES = 7
"""For a vector of a Winograd transform: gathered, about three additions, stored; assumed. By the data sheet alone, the
algorithms of two CPUs that were measured then come in the best order (docs/architecture.md)."""

_SPILL_CYCLES = 0.5
"""A vector that goes through the first-level cache in a step: a store and a load beside the multiply-adds; assumed."""

_TRANSFERS_OF_A_WRITE = 2
"""A line that is written is read first, and written back later."""

_OVERLAP = 1.8
"""The exponent p for a core that executes out of order; assumed, and near what two CPUs showed."""


@dataclass(frozen=True)
class Rates:
    """What one engine takes for each unit of `Work`, in seconds, and in bytes a second.

    Attributes:
        launch_s: To begin a kernel.
        overlap: The exponent p of the model.
    """

    launch_s: float
    fma_s: float
    load_s: float
    stall_s: float
    spill_s: float
    tile_s: float
    transform_s: float
    unit_fma_s: float
    weight_bytes_per_s: float
    reread_bytes_per_s: float
    read_bytes_per_s: float
    write_bytes_per_s: float
    overlap: float

    @staticmethod
    def of(sheet: DataSheet, engines: int) -> Rates:
        """Those of a CPU's data sheet, when `engines` of its cores compute."""
        cycle = 1 / sheet.clock_hz
        memory = min(sheet.engine_bytes_per_s, sheet.memory_bytes_per_s / engines)
        cache = sheet.cache_bytes_per_s / engines
        unit = max(sheet.tensor_unit.fmas_per_cycle.values()) if sheet.tensor_unit is not None else sheet.fmas_per_cycle
        return Rates(
            launch_s=sheet.launch_s,
            fma_s=cycle * sheet.vector_lanes / sheet.fmas_per_cycle,
            load_s=cycle / _LOADS_PER_CYCLE,
            stall_s=cycle,
            spill_s=cycle * _SPILL_CYCLES,
            tile_s=cycle * _TILE_CYCLES,
            transform_s=cycle * _TRANSFORM_CYCLES,
            unit_fma_s=cycle / unit,
            weight_bytes_per_s=memory,
            reread_bytes_per_s=cache,
            read_bytes_per_s=cache,
            write_bytes_per_s=memory / _TRANSFERS_OF_A_WRITE,
            overlap=_OVERLAP,
        )


@dataclass(frozen=True)
class Terms:
    """The parts of a predicted latency, in seconds: what `predict` shows, and what the correction looks at."""

    launch_s: float
    multiply_s: float
    other_arithmetic_s: float
    weights_s: float
    other_memory_s: float
    overlap: float

    @property
    def arithmetic_s(self) -> float:
        """All that is issued."""
        return self.multiply_s + self.other_arithmetic_s

    @property
    def memory_s(self) -> float:
        """All that is moved."""
        return self.weights_s + self.other_memory_s

    @property
    def latency_s(self) -> float:
        """The whole."""
        slower, faster = max(self.arithmetic_s, self.memory_s), min(self.arithmetic_s, self.memory_s)
        if slower == 0:
            return self.launch_s
        # As a ratio: powers of seconds leave the range of numbers.
        return self.launch_s + slower * float((1 + (faster / slower) ** self.overlap) ** (1 / self.overlap))


def terms(work: Work, rates: Rates) -> Terms:
    """The parts of the latency of `work`."""
    multiply = max(work.fmas * rates.fma_s, work.loads * rates.load_s) + work.unit_fmas * rates.unit_fma_s
    other = work.stalls * rates.stall_s + work.spills * rates.spill_s
    other += work.tiles * rates.tile_s + work.transforms * rates.transform_s
    moved = work.reread_bytes / rates.reread_bytes_per_s + work.read_bytes / rates.read_bytes_per_s
    moved += work.written_bytes / rates.write_bytes_per_s
    weights = work.weight_bytes / rates.weight_bytes_per_s
    return Terms(rates.launch_s, multiply, other, weights, moved, rates.overlap)
