"""Devices by name: the data sheet of each in one row.

Rates are the vendors' where they name them. What no data sheet tells is said to be assumed: the bandwidth of caches
(GPUs: measured ones as published where named), what one engine draws alone (a fifth more than its share), the cost of
a launch inside a CUDA graph.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from lascompile.errors import UsageError
from lascompile.machine.sheet import DataSheet, TensorUnit, read_sheet

_GRAPH_LAUNCH_S = 2.0e-6
"""From the end of a kernel to the beginning of the next one in a CUDA graph; assumed."""

_CPU_REGION_S = 1.5e-6
"""A parallel region of threads that wait for it; measured on Zen 4 and Emerald Rapids (docs/performance.md)."""

_WARP, _SECTOR, _LINE = 32, 32, 64
_MOST_REGISTERS = 255
_AVX2_LANES, _AVX2_REGISTERS = 8, 16


def _gpu(
    name: str,
    arch: str,
    engines: int,
    lanes: int,
    clock_mhz: float,
    memory_gb_per_s: float,
    cache_kib: int,
    cache_gb_per_s: float,
    shared_kib: int,
    source: str,
    tensor: dict[str, float] | None = None,
) -> DataSheet:
    memory = memory_gb_per_s * 1e9
    return DataSheet(
        name=name,
        kind="gpu",
        arch=arch,
        engines=engines,
        clock_hz=clock_mhz * 1e6,
        fmas_per_cycle=lanes,
        vector_lanes=_WARP,
        vector_registers=_MOST_REGISTERS,
        engine_memory_bytes=shared_kib << 10,
        cache_bytes=cache_kib << 10,
        cache_bytes_per_s=cache_gb_per_s * 1e9,
        memory_bytes_per_s=memory,
        engine_bytes_per_s=min(memory, 1.2 * memory / engines * max(1.0, engines / 16)),
        request_bytes=_SECTOR,
        launch_s=_GRAPH_LAUNCH_S,
        source=source,
        tensor_unit=TensorUnit(tensor) if tensor else None,
    )


def _cpu(
    name: str,
    arch: str,
    engines: int,
    lanes: int,
    vectors_per_cycle: float,
    clock_mhz: float,
    memory_gb_per_s: float,
    engine_gb_per_s: float,
    engine_kib: int,
    cache_kib: int,
    cache_gb_per_s: float,
    source: str,
    tensor: dict[str, float] | None = None,
) -> DataSheet:
    return DataSheet(
        name=name,
        kind="cpu",
        arch=arch,
        engines=engines,
        clock_hz=clock_mhz * 1e6,
        fmas_per_cycle=lanes * vectors_per_cycle,
        vector_lanes=lanes,
        vector_registers=_AVX2_REGISTERS if lanes == _AVX2_LANES else 32,
        engine_memory_bytes=engine_kib << 10,
        cache_bytes=cache_kib << 10,
        cache_bytes_per_s=cache_gb_per_s * 1e9,
        memory_bytes_per_s=memory_gb_per_s * 1e9,
        engine_bytes_per_s=engine_gb_per_s * 1e9,
        request_bytes=_LINE,
        launch_s=_CPU_REGION_S,
        source=source,
        tensor_unit=TensorUnit(tensor) if tensor else None,
    )


_ROWS = (
    _gpu("v100", "sm_70", 80, 64, 1530, 900, 6144, 2155, 96,
         "NVIDIA Tesla V100 whitepaper WP-08608-001; cache: Jia et al., arXiv 1804.06826",
         {"float16": 512}),
    _gpu("rtx3060", "sm_86", 28, 128, 1777, 360, 3072, 1200, 100,
         "NVIDIA GA102 whitepaper and GeForce RTX 3060 specification; cache assumed", {"float16": 512, "tf32": 256}),
    _gpu("rtx3090", "sm_86", 82, 128, 1695, 936, 6144, 2500, 100,
         "NVIDIA GA102 whitepaper; cache assumed", {"float16": 512, "tf32": 256}),
    _gpu("a100", "sm_80", 108, 64, 1410, 1555, 40960, 4500, 164,
         "NVIDIA A100 whitepaper, SXM4 40 GB; cache assumed", {"float16": 1024, "tf32": 512}),
    _gpu("h100", "sm_90", 132, 128, 1830, 3350, 51200, 5500, 228,
         "NVIDIA H100 whitepaper, SXM5; cache assumed", {"float16": 2048, "tf32": 1024}),
    _gpu("h200", "sm_90", 132, 128, 1830, 4800, 51200, 5500, 228,
         "NVIDIA H200 data sheet, SXM; cache assumed", {"float16": 2048, "tf32": 1024}),
    _gpu("jetson-nano", "sm_53", 1, 128, 921, 25.6, 256, 60, 64,
         "NVIDIA Jetson Nano data sheet DS-09366; cache assumed"),
    _gpu("jetson-tx2", "sm_62", 2, 128, 1300, 59.7, 512, 150, 64,
         "NVIDIA Jetson TX2 data sheet DS-08224, 1866 MHz; cache assumed"),
    _gpu("jetson-xavier", "sm_72", 8, 64, 1377, 136.5, 512, 350, 96,
         "NVIDIA Jetson AGX Xavier data sheet DS-09654; cache assumed", {"float16": 512}),
    _gpu("jetson-orin", "sm_87", 16, 128, 1300, 204.8, 4096, 800, 164,
         "NVIDIA Jetson AGX Orin data sheet DS-10662, 64 GB; cache assumed", {"float16": 1024, "tf32": 512}),
    _cpu("raspberry-pi4", "cortex-a72", 4, 4, 1, 1500, 4.0, 3.0, 256, 1024, 12,
         "Broadcom BCM2711, Arm Cortex-A72 software optimisation guide; bandwidths assumed"),
    _cpu("generic-avx2", "haswell", 4, 8, 2, 3000, 25, 12, 256, 8192, 100,
         "Agner Fog, Instruction tables: Haswell; clock and bandwidths assumed"),
    _cpu("generic-avx512", "skylake-avx512", 4, 16, 2, 2600, 40, 12, 1024, 16384, 120,
         "Agner Fog, Instruction tables: Skylake-X; clock and bandwidths assumed"),
    _cpu("zen4", "znver4", 2, 16, 1, 3650, 40, 24, 1024, 32768, 160,
         "AMD Zen 4 optimisation guide 57647 (one 512-bit multiply-add a cycle); clock and bandwidths as measured on "
         "two cores of an EPYC (docs/performance.md)"),
    _cpu("zen5", "znver5", 2, 16, 2, 3980, 40, 24, 1024, 32768, 160,
         "AMD Zen 5 optimisation guide 58455 (two 512-bit multiply-adds a cycle); clock from a measured peak of 510 "
         "GFLOP/s on two cores of an EPYC, bandwidths as of Zen 4"),
    _cpu("emerald-rapids", "emeraldrapids", 2, 16, 2, 3200, 34, 18, 2048, 262144, 90,
         "Intel optimisation reference manual 248966; clock and bandwidths as measured on two cores of a Xeon "
         "(docs/performance.md)", {"bfloat16": 512}),
)  # fmt: skip

DEVICES = {sheet.name: sheet for sheet in _ROWS}
"""The data sheets that lascompile comes with, by name."""


def find_device(text: str) -> DataSheet:
    """The device that users call `text`: a name of `DEVICES`, or a JSON file with a data sheet.

    Raises:
        UsageError: There is none of that name, or the file holds no data sheet.
    """
    if text in DEVICES:
        return DEVICES[text]
    if text.endswith(".json"):
        return read_sheet(Path(text))
    close = difflib.get_close_matches(text, DEVICES, 1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(DEVICES)}, or a file.json"
    raise UsageError(f"device {text!r}: there is none of that name; {hint}")
