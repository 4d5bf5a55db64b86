"""What a kernel has to do, counted: the one description of its cost that fitting, prediction and planning read."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Engine:
    """What a kernel has to know of the engine that runs it, to say what it does there.

    Attributes:
        lanes: float32 numbers of a vector register.
        registers: Vector registers.
        own_bytes: Cache or memory that it shares with nobody.
    """

    lanes: int
    registers: int
    own_bytes: int


@dataclass(frozen=True)
class Work:
    """The work of the busiest engine, and what all engines move together.

    Engines are threads of a CPU, each on a core. Counts are of what is really executed: rows that fill no tile are in
    `fmas`, and weights that are read for each tile again are in `reread_bytes`.

    Attributes:
        engines: Engines that take part.
        fmas: Vector multiply-adds.
        loads: Vectors and numbers that multiply-adds read from the first-level cache.
        stalls: Cycles in which nothing can begin: sums of a register tile that are too few to hide their latency.
        spills: Vectors that fit into no register and go through the first-level cache in each step of a sum.
        tiles: Register tiles begun and stored.
        transforms: Vectors that transforms of Winograd or a packing for a tile unit write.
        unit_fmas: Multiply-adds of a tile unit.
        weight_bytes: Weights that come from off-chip memory.
        reread_bytes: Weights and inputs that are read again and do not fit into the engine's own memory.
        read_bytes: Other input, from the shared cache or memory.
        written_bytes: Output, and the residual under it, from and to the shared cache or memory.
    """

    engines: int
    fmas: float
    loads: float
    stalls: float
    tiles: float
    spills: float = 0.0
    transforms: float = 0.0
    unit_fmas: float = 0.0
    weight_bytes: float = 0.0
    reread_bytes: float = 0.0
    read_bytes: float = 0.0
    written_bytes: float = 0.0

    def __post_init__(self) -> None:
        for item in fields(self):
            assert getattr(self, item.name) >= 0, item.name
