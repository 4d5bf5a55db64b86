"""From a scheduled function to cubins, and what a device has to give for them; needs no GPU (docs/cuda.md)."""

from lascompile.cuda.compiler import CompiledKernel, compile_kernels
from lascompile.cuda.occupancy import Occupancy, occupancy
from lascompile.cuda.ptxas import Build, Resources
from lascompile.cuda.source import KernelSource, Launch, emit_source

__all__ = [
    "Build",
    "CompiledKernel",
    "KernelSource",
    "Launch",
    "Occupancy",
    "Resources",
    "compile_kernels",
    "emit_source",
    "occupancy",
]
