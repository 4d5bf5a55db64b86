"""CPUs, x86 and Arm, as LLVM makes code for them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from lascompile.cpu import TILE_FEATURES
from lascompile.target.base import Target

if TYPE_CHECKING:
    import tvm

_X86 = ("avx", "avx2", "fma", "avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512bf16", "amx-tile", "amx-bf16")
_ARM = ("neon", "fullfp16", "bf16", "sve", "sve2")
FEATURES_THAT_MATTER = frozenset((*_X86, *_ARM))
"""Instruction sets that decide how fast a kernel is: width and kind of its vectors. Others come and go between virtual
machines of one CPU."""

_OF_LANES = {8: ("avx", "avx2", "fma"), 16: ("avx", "avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl")}


@dataclass(frozen=True)
class CpuTarget(Target):
    """A CPU.

    Attributes:
        mcpu: LLVM's name of the CPU, never `native`.
        mtriple: Processor family and system.
        features: Instruction sets that the code may use, by LLVM's names, sorted.
        mattr: Where the CPU differs from what LLVM knows under its name: `+name` and `-name`.
    """

    kind: ClassVar[str] = "llvm"

    mcpu: str
    mtriple: str
    features: tuple[str, ...] = ()
    mattr: tuple[str, ...] = ()

    @property
    def isa(self) -> str:
        """The processor family: `x86` or `arm`."""
        return "arm" if self.mtriple.startswith("aarch64") else "x86"

    @property
    def name(self) -> str:
        """LLVM's."""
        return self.mcpu

    @property
    def host_triple(self) -> str:
        """Its own."""
        return self.mtriple

    @property
    def vector_bits(self) -> int:
        """Width of a vector register: 512, 256 or 128."""
        if self.isa == "arm":
            return 128
        return 512 if self.has("avx512f") else 256 if self.has("avx2") else 128

    @property
    def vector_registers(self) -> int:
        """How many vector registers a kernel can hold its tile in."""
        return 32 if self.isa == "arm" or self.has("avx512f") else 16

    @property
    def lanes(self) -> int:
        """float32 values in a vector register."""
        return self.vector_bits // 32

    @property
    def has_tile_unit(self) -> bool:
        """Whether code may multiply small matrices at once."""
        return set(self.features) >= TILE_FEATURES

    @staticmethod
    def like(mcpu: str, lanes: int, has_tile_unit: bool) -> CpuTarget:
        """A CPU of a data sheet, as far as it matters to speed: Arm's have vectors of 4 numbers, x86's of 8 or 16."""
        if lanes not in _OF_LANES:
            return CpuTarget(mcpu, "aarch64-linux-gnu", ("neon",))
        tiles = (*TILE_FEATURES, "avx512bf16") if has_tile_unit else ()
        return CpuTarget(mcpu, "x86_64-linux-gnu", tuple(sorted((*_OF_LANES[lanes], *tiles))))

    def needed(self, used: Collection[str]) -> CpuTarget:
        """This, without the tile unit where no kernel uses it: LLVM takes none of its instructions on its own."""
        kept = (name for name in self.features if name not in TILE_FEATURES or name in used)
        return replace(self, features=tuple(kept))

    def to_tvm(self) -> tvm.target.Target:
        """The same as TVM's target, its own host."""
        from tvm.target import Target as TvmTarget

        spec = {"kind": "llvm", "mcpu": self.mcpu, "mtriple": self.mtriple, "mattr": list(self.mattr)}
        return TvmTarget(spec, host=spec)

    def to_dict(self) -> dict[str, Any]:
        """What a manifest records."""
        return {
            "kind": self.kind,
            "mcpu": self.mcpu,
            "mtriple": self.mtriple,
            "features": list(self.features),
            "vector_bits": self.vector_bits,
        }

    def __str__(self) -> str:
        """As it is written on the command line."""
        attributes = f" -mattr={','.join(self.mattr)}" if self.mattr else ""
        return f"llvm -mtriple={self.mtriple} -mcpu={self.mcpu}{attributes}"
