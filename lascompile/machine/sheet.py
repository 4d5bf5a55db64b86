"""The data sheet of a device: what it computes and moves at best, per second, and what starting work costs.

The model of the LASNet paper (section 3.3): engines with memory of their own, an on-chip cache that they share,
off-chip memory. A CPU's engine is a core, with its second-level cache; a GPU's is a streaming multiprocessor, with its
shared memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from lascompile.errors import UsageError

SCHEMA = 1


@dataclass(frozen=True)
class TensorUnit:
    """A unit for products of small matrices.

    Attributes:
        fmas_per_cycle: Multiply-adds of one engine's in a cycle, by the type of the factors.
    """

    fmas_per_cycle: Mapping[str, float]


@dataclass(frozen=True)
class DataSheet:
    """What one device does at best.

    Attributes:
        name: As users write it.
        kind: `cpu` or `gpu`.
        engines: Cores, or streaming multiprocessors.
        clock_hz: Cycles a second while all engines compute.
        fmas_per_cycle: float32 multiply-adds of one engine in a cycle.
        vector_lanes: float32 numbers of a vector register, or threads of a warp.
        vector_registers: Vector registers of a core, or the most registers of a thread.
        engine_memory_bytes: What an engine keeps to itself: second-level cache, or shared memory of a multiprocessor.
        cache_bytes: The cache that engines share.
        cache_bytes_per_s: What it delivers to all engines together.
        memory_bytes_per_s: What off-chip memory delivers to all engines together.
        engine_bytes_per_s: What off-chip memory delivers to one engine alone.
        request_bytes: What one request of memory brings.
        launch_s: What it takes to begin a kernel when the one before has ended: a parallel region, or a launch in a
            graph.
        source: Where the numbers are from; `assumed` says of which nobody has told.
        tensor_unit: Where there is one.
        arch: A GPU's architecture, `sm_70` and the like; a CPU's name in LLVM.
    """

    name: str
    kind: Literal["cpu", "gpu"]
    engines: int
    clock_hz: float
    fmas_per_cycle: float
    vector_lanes: int
    vector_registers: int
    engine_memory_bytes: int
    cache_bytes: int
    cache_bytes_per_s: float
    memory_bytes_per_s: float
    engine_bytes_per_s: float
    request_bytes: int
    launch_s: float
    source: str
    tensor_unit: TensorUnit | None = None
    arch: str = ""

    @property
    def peak_flops_per_s(self) -> float:
        """float32 operations a second on all engines, a multiply-add counted as two."""
        return 2 * self.engines * self.fmas_per_cycle * self.clock_hz

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, int | float) and not 0 < value < float("inf"):
                raise UsageError(f"device {self.name}: {item.name} is {value}, but it must be positive and finite")

    def to_dict(self) -> dict[str, Any]:
        """As a file holds it."""
        return {"schema": SCHEMA, **asdict(self)}


def read_sheet(path: Path) -> DataSheet:
    """The data sheet in the JSON file `path`.

    Raises:
        UsageError: It cannot be read, or a field is missing, unknown, or of the wrong type.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"device {path} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UsageError(f"device {path} is no JSON in UTF-8: {error}") from None
    if not isinstance(stored, dict):
        raise UsageError(f"device {path}: it should be an object, one field for each number of a data sheet")
    return sheet_from_dict(str(path), stored)


def sheet_from_dict(where: str, stored: Mapping[str, Any]) -> DataSheet:
    """The data sheet that `DataSheet.to_dict` stored; `where` names it in errors.

    Raises:
        UsageError: As for `read_sheet`.
    """
    if stored.get("schema") != SCHEMA:
        raise UsageError(f"device {where} has schema {stored.get('schema')!r}, and this lascompile reads {SCHEMA}")
    stored = {name: value for name, value in stored.items() if name != "schema"}
    known = {item.name: str(item.type) for item in fields(DataSheet)}
    required = known.keys() - {"tensor_unit", "arch"}
    if unknown := sorted(stored.keys() - known.keys()):
        raise UsageError(f"device {where}: {unknown[0]!r} is no field; the fields are {', '.join(known)}")
    if missing := sorted(required - stored.keys()):
        raise UsageError(f"device {where}: {missing[0]!r} is missing")
    values = dict(stored)
    for name, value in stored.items():
        wanted = known[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if wanted == "int":
            if not is_number or not float(value).is_integer():
                raise UsageError(f"device {where}: {name} is {value!r}, but it must be a whole number")
            values[name] = int(value)
        if wanted == "float" and not is_number:
            raise UsageError(f"device {where}: {name} is {value!r}, but it must be a number")
        if wanted == "str" and not isinstance(value, str):
            raise UsageError(f"device {where}: {name} is {value!r}, but it must be a string")
    if values["kind"] not in ("cpu", "gpu"):
        raise UsageError(f"device {where}: kind is {values['kind']!r}, allowed are cpu and gpu")
    unit = values.get("tensor_unit")
    if unit is not None:
        values["tensor_unit"] = _tensor_unit(where, unit)
    return DataSheet(**values)


def _tensor_unit(where: str, stored: Any) -> TensorUnit:
    given = stored.get("fmas_per_cycle") if isinstance(stored, dict) else None
    rates: dict[str, Any] = given if isinstance(given, dict) else {}
    are_rates = all(isinstance(rate, int | float) and 0 < rate < float("inf") for rate in rates.values())
    if not rates or not are_rates:
        raise UsageError(f'device {where}: tensor_unit should be like {{"fmas_per_cycle": {{"float16": 512}}}}')
    return TensorUnit(rates)
