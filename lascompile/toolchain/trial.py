"""Builds, links, loads and runs one tiny function: `python -m lascompile.toolchain.trial [MTRIPLE]`.

`doctor` runs it in a process of its own, since what it looks for may end the process. Prints the target. For
`MTRIPLE`, another processor's, the library is linked but not run.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from lascompile.target import Target, parse_target
from lascompile.toolchain.linker import link_function
from lascompile.toolchain.versions import check_versions


def main(mtriple: str | None = None) -> None:
    """Goes the whole way of a build, for one small function.

    Raises:
        ToolchainError: a version that breaks, or a linker that is missing or fails.
    """
    check_versions()
    target = parse_target(f"llvm -mtriple={mtriple}" if mtriple else "llvm")
    with tempfile.TemporaryDirectory(prefix="lascompile-") as folder:
        library = Path(folder) / "trial.so"
        build_library(library, target)
        if not mtriple:
            run_library(library)
    print(target)


def build_library(path: Path, target: Target) -> None:
    """Compiles `y = exp(0 x) + x`, over float32 [64], into the shared library `path`."""
    import tvm
    from tvm import te

    # The exponential is a call into the C library: the loader must find that too.
    x = te.placeholder((64,), name="x")
    y = te.compute((64,), lambda i: te.exp(x[i] * 0.0) + x[i], name="y")
    module = tvm.compile(te.create_prim_func([x, y]), target=target.to_tvm())
    module.export_library(path, fcompile=link_function(target.host_triple))


def run_library(path: Path) -> None:
    """Loads what `build_library` wrote, and checks what it computes."""
    import numpy as np
    import tvm_ffi

    # TVM's code takes 64-byte alignment for granted and crashes without; numpy aligns to 16.
    memory = np.zeros(3 * 256, dtype=np.uint8)
    start = -memory.ctypes.data % 64
    x, y = (memory[start + i * 256 : start + (i + 1) * 256].view(np.float32) for i in range(2))
    x[:] = np.arange(64)
    tvm_ffi.load_module(str(path))["main"](tvm_ffi.from_dlpack(x), tvm_ffi.from_dlpack(y))
    if not np.array_equal(y, x + 1):
        raise RuntimeError(f"the compiled function returned {y.tolist()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
