"""How many blocks of a kernel a multiprocessor holds, and whether a device can launch it at all.

By NVIDIA's rules as its header `cuda_occupancy.h` (CUDA 12.9) has them: registers go to warps in units of 256 and are
split over four parts of a multiprocessor; shared memory goes to blocks in units, with what the system reserves of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from lascompile.cuda.ptxas import Resources
from lascompile.cuda.source import Launch
from lascompile.target import CudaTarget

_PARTS = 4
_REGISTER_UNIT = 256
_UNASKED_SHARED_BYTES = 48 << 10


@dataclass(frozen=True)
class Occupancy:
    """What a multiprocessor holds of a kernel.

    Attributes:
        blocks: Blocks at a time; 0 if it cannot be launched.
        share: Of the threads that a multiprocessor holds at most.
        limited_by: `registers`, `shared memory`, `threads` or `blocks`.
    """

    blocks: int
    share: float
    limited_by: str


def occupancy(launch: Launch, resources: Resources, target: CudaTarget) -> Occupancy:
    """How many blocks of a kernel a multiprocessor of `target` holds."""
    limits = target.limits
    warps = -(-launch.threads // target.warp)
    counts = {
        "registers": _by_registers(warps, resources.registers, target),
        "shared memory": _by_shared_memory(resources.shared_bytes + launch.dynamic_shared_bytes, target),
        "threads": limits.threads // (warps * target.warp) if launch.threads <= target.block_threads else 0,
        "blocks": limits.blocks,
    }
    limited_by = min(counts, key=lambda name: counts[name])
    blocks = counts[limited_by]
    return Occupancy(blocks, blocks * warps * target.warp / limits.threads, limited_by)


def _by_registers(warps: int, registers: int, target: CudaTarget) -> int:
    of_warp = _rounded_up(registers * target.warp, _REGISTER_UNIT)
    if of_warp * _rounded_up(warps, _PARTS) > target.limits.block_registers or registers > target.thread_registers:
        return 0
    resident_warps = target.limits.registers // _PARTS // of_warp * _PARTS
    return resident_warps // warps


def _by_shared_memory(of_block: int, target: CudaTarget) -> int:
    limits = target.limits
    if of_block > limits.block_shared_bytes:
        return 0
    taken = _rounded_up(of_block + limits.reserved_shared_bytes, limits.shared_unit_bytes)
    return limits.shared_bytes // taken if taken else limits.blocks


def _rounded_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def why_not(launch: Launch, resources: Resources, target: CudaTarget) -> str | None:
    """Why a kernel is not to be chosen for `target`: it spills, or cannot be launched there; None if it may be."""
    if resources.spill_store_bytes or resources.spill_load_bytes:
        return f"spills {resources.spill_store_bytes} bytes a thread"
    if launch.threads > target.block_threads:
        return f"has {launch.threads} threads a block, of {target.block_threads} at most"
    shared = resources.shared_bytes + launch.dynamic_shared_bytes
    if resources.shared_bytes > _UNASKED_SHARED_BYTES or shared > target.limits.block_shared_bytes:
        static = resources.shared_bytes > _UNASKED_SHARED_BYTES
        allowed = _UNASKED_SHARED_BYTES if static else target.limits.block_shared_bytes
        return f"takes {shared} bytes of shared memory a block, of {allowed} at most"
    if not occupancy(launch, resources, target).blocks:
        return f"takes {resources.registers} registers a thread, too many for {launch.threads} threads"
    return None
