"""What is run to find a machine's peaks does the work it says."""

from __future__ import annotations

from lascompile.bench.peaks import GEMM, MEMORY, SECOND_LEVEL, TILES, peaks
from lascompile.schedules.cpu.algorithms import BF16X3
from tests.kernels.calling import target_of


def test_peaks_of_this_machine():
    target = target_of("llvm")
    found = {peak.name: peak for peak in peaks(target, 1, memory_bytes=1 << 22)}
    has_tiles = BF16X3.features <= set(target.features)
    assert list(found) == [GEMM, *([TILES] if has_tiles else []), SECOND_LEVEL, MEMORY]
    for peak in found.values():
        peak.run()
        peak.run()
    assert found[MEMORY].work == (1 << 22) / 16
    assert found[GEMM].work == 2 * 768**3


def test_a_target_without_tiles_has_no_such_peak():
    assert TILES not in {peak.name for peak in peaks(target_of("llvm -mcpu=haswell"), 1, memory_bytes=1 << 22)}
