"""A CUDA driver for processes without a GPU: `libcuda.so.1` that runs kernels through the emulator.

    environment = fake_driver(tmp_path, {cubin: source}, capability=80)
    subprocess.run([sys.executable, "-c", program], env=environment)

`program` uses NVIDIA's `cuda.bindings.driver` as on a machine with a GPU, and loads the real `cubin`; the driver finds
by its bytes which `source` it was compiled from, and runs that. `log(tmp_path)` has what the process asked of the
driver, a line a call: launches, captures, and whatever waits for the device. What waits while a stream is captured
fails, as on a device. Device memory begins as NaN. driver.cpp says which functions there are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from lascompile.cuda.nvrtc import package_folder
from tests.cuda.emulator.compiler import driver_library, kernel_library
from tests.cuda.emulator.rewriter import rewrite

_SOURCE = Path(__file__).with_name("driver.cpp")


def fake_driver(
    folder: Path, kernels: Mapping[bytes, str], capability: int = 70, order: int = 0, mode: str = "fast"
) -> dict[str, str]:
    """The environment of a process that is to meet the fake driver.

    Args:
        folder: Where the driver, the kernels and the log lie.
        kernels: Emitted sources by the cubins that they were compiled to.
        capability: Of the device that there seems to be.
        order: Of threads and blocks, as the emulator has it.
        mode: `fast`, or `race` to check every access; a fault fails the launch and is in the log.
    """
    _link(folder / "libcuda.so.1", driver_library(_SOURCE, package_folder("cuda_runtime") / "include"))
    for cubin, source in kernels.items():
        _link(folder / f"{fnv1a(cubin):016x}.so", kernel_library(rewrite(source), mode))
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(folder),
        "FAKE_CUDA_KERNELS": str(folder),
        "FAKE_CUDA_LOG": str(folder / "log"),
        "FAKE_CUDA_CAPABILITY": str(capability),
        "FAKE_CUDA_ORDER": str(order),
    }


def log(folder: Path) -> list[str]:
    """What the processes asked of the driver in `folder`."""
    return (folder / "log").read_text(encoding="utf-8").splitlines()


def fnv1a(content: bytes) -> int:
    """The hash by which the driver finds the emulation of a cubin."""
    found = 14695981039346656037
    for byte in content:
        found = ((found ^ byte) * 1099511628211) & (2**64 - 1)
    return found


def _link(place: Path, target: Path) -> None:
    if not place.exists():
        place.symlink_to(target)
