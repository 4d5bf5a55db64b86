"""Executes the CUDA C that TVM emits on a CPU, and finds what is wrong with it; no GPU, no CUDA, only g++.

    from tests.cuda.emulator import KernelFault, run_checked, run_kernel

    arrays = run_kernel(source, "main_kernel", grid=(49, 1), block=(16, 16), args={"x": x, "idx": idx, "y": y})
    arrays["y"]

`source` is the emitted text as it is (TVM's preamble included), the parameters are those of the kernel without TVM's
suffix `_ptr`; arrays go in by value and come back changed, NumPy scalars are passed by value. Give what a kernel must
not leave as it was as NaN. `run_checked` runs the same in every mode and order below and compares bit by bit: tests of
kernels should call it.

mode="fast"     compiled with -O2: results. Also caught: a barrier or warp operation that not all threads reach,
                cp.async that is never waited for, ldmatrix and cp.async out of bounds.
mode="race"     every access is recorded: races within a block (between barriers; within a warp between __syncwarp) and
                between blocks (anywhere in a launch), out of bounds and misaligned accesses of shared and global
                memory, reads of what cp.async is still copying.
mode="bounds"   AddressSanitizer and UndefinedBehaviorSanitizer: the same bounds by other means, local arrays, overflow.
order=0, 1, …   which threads go first. Odd orders go backwards, through blocks and lanes, and do an asynchronous copy
                at once; even ones at the wait. Warps are shuffled by the order as a seed, but for order 0.

Each thread is a fibre; __syncthreads is a rendezvous. Shared arrays are filled with NaN (all bits set) at the start of
every block, so that a read before the first write shows in the results. wmma computes in lane 0. Known inline PTX:
ldmatrix x1, x2, x4 and .trans; mma.m16n8k16 float16 → float32; mma.m16n8k8 TF32; cvt.rna.tf32; cp.async with commit and
wait, zero-filled and predicated ones too. Other PTX is an error (`UnknownPtx`): teach it to ptx.py.

What it cannot see: how fast anything is, registers and limits (lascompile/cuda has ptxas for them), caches, blocks that
wait for each other, and more than one rounding where the tensor cores differ in how they sum.

To show that a test would notice, edit the emitted text: `source.replace("__syncthreads();", ";", 1)` must raise
`KernelFault` in mode="race" (TVM's own pass puts barriers back where one is taken out of the schedule).
"""

from tests.cuda.emulator.compiler import available, kernel_library
from tests.cuda.emulator.ptx import UnknownPtx
from tests.cuda.emulator.rewriter import kernels, rewrite
from tests.cuda.emulator.runner import KernelFault, run_checked, run_kernel

__all__ = [
    "KernelFault",
    "UnknownPtx",
    "available",
    "kernel_library",
    "kernels",
    "rewrite",
    "run_checked",
    "run_kernel",
]
