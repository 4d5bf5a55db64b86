"""NVIDIA's GPUs, by compute capability.

What a kernel may ask for is of the CUDA C++ Programming Guide, «Technical Specifications per Compute Capability».
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from lascompile.cpu import processor
from lascompile.target.base import Target

if TYPE_CHECKING:
    import tvm

_KIB = 1024


@dataclass(frozen=True)
class CudaLimits:
    """What the kernels of a compute capability may ask for.

    Attributes:
        shared_bytes: Shared memory of a multiprocessor, which its blocks share out.
        block_shared_bytes: What one block may have of it, asked for when it is launched; without asking, 48 KiB.
        block_registers: Registers of one block, 32 bits each.
        threads: Threads of all blocks on a multiprocessor.
        blocks: Blocks on a multiprocessor.
        shared_unit_bytes: Blocks get shared memory in multiples of this.
        reserved_shared_bytes: What the system takes of it for each block.
        registers: Registers of a multiprocessor.
    """

    shared_bytes: int
    block_shared_bytes: int
    block_registers: int
    threads: int
    blocks: int
    shared_unit_bytes: int = 256
    reserved_shared_bytes: int = 0
    registers: int = 64 * _KIB


LIMITS: dict[int, CudaLimits] = {
    53: CudaLimits(64 * _KIB, 48 * _KIB, 32 * _KIB, 2048, 32),
    60: CudaLimits(64 * _KIB, 48 * _KIB, 64 * _KIB, 2048, 32),
    61: CudaLimits(96 * _KIB, 48 * _KIB, 64 * _KIB, 2048, 32),
    62: CudaLimits(64 * _KIB, 48 * _KIB, 32 * _KIB, 2048, 32),
    70: CudaLimits(96 * _KIB, 96 * _KIB, 64 * _KIB, 2048, 32),
    72: CudaLimits(96 * _KIB, 96 * _KIB, 64 * _KIB, 2048, 32),
    75: CudaLimits(64 * _KIB, 64 * _KIB, 64 * _KIB, 1024, 16),
    80: CudaLimits(164 * _KIB, 163 * _KIB, 64 * _KIB, 2048, 32, 128, _KIB),
    86: CudaLimits(100 * _KIB, 99 * _KIB, 64 * _KIB, 1536, 16, 128, _KIB),
    87: CudaLimits(164 * _KIB, 163 * _KIB, 64 * _KIB, 1536, 16, 128, _KIB),
    89: CudaLimits(100 * _KIB, 99 * _KIB, 64 * _KIB, 1536, 24, 128, _KIB),
    90: CudaLimits(228 * _KIB, 227 * _KIB, 64 * _KIB, 2048, 32, 128, _KIB),
}
"""By compute capability, major and minor as one number."""


@dataclass(frozen=True)
class CudaTarget(Target):
    """GPUs of one architecture.

    Attributes:
        arch: `sm_70` and the like.
    """

    kind: ClassVar[str] = "cuda"
    warp: ClassVar[int] = 32
    """Threads that run together."""
    block_threads: ClassVar[int] = 1024
    """Threads of one block at most."""
    thread_registers: ClassVar[int] = 255
    """Registers of one thread at most, 32 bits each."""

    arch: str

    @property
    def features(self) -> tuple[str, ...]:
        """None: what code may use follows from the capability."""
        return ()

    @property
    def name(self) -> str:
        """Its architecture."""
        return self.arch

    @property
    def host_triple(self) -> str:
        """This machine's."""
        return f"{processor()}-linux-gnu"

    @property
    def capability(self) -> int:
        """The compute capability, 70 of `sm_70`."""
        return int(self.arch.removeprefix("sm_").rstrip("af"))

    @property
    def limits(self) -> CudaLimits:
        """What kernels may ask for: that of the highest capability known that the device's includes."""
        return LIMITS[max(known for known in LIMITS if known <= max(self.capability, min(LIMITS)))]

    def to_tvm(self) -> tvm.target.Target:
        """The same as TVM's target."""
        from tvm.target import Target as TvmTarget

        return TvmTarget({"kind": "cuda", "arch": self.arch})

    def to_dict(self) -> dict[str, Any]:
        """What a manifest records."""
        return {"kind": self.kind, "arch": self.arch}

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"cuda -arch={self.arch}"
