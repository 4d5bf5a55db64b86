"""PTX to a cubin for one architecture, and what its kernels take of a device."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lascompile.cuda.nvrtc import package_folder
from lascompile.errors import ToolchainError

_KERNEL = re.compile(r"Compiling entry function '(\w+)' for")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True)
class Resources:
    """What ptxas gave a kernel.

    Attributes:
        registers: Of a thread.
        shared_bytes: Static shared memory of a block.
        stack_bytes: Local memory of a thread, spills among it.
        spill_store_bytes: What a thread writes into local memory for want of registers.
        spill_load_bytes: And reads back.
    """

    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_store_bytes: int
    spill_load_bytes: int


@dataclass(frozen=True)
class Build:
    """PTX compiled for one architecture.

    Attributes:
        cubin: An ELF file for the driver.
        resources: By kernel.
    """

    cubin: bytes
    resources: dict[str, Resources]

    def resources_as_json(self) -> dict[str, dict[str, Any]]:
        """For a cache or a manifest."""
        return {symbol: asdict(resources) for symbol, resources in self.resources.items()}


def assemble(ptx: bytes, arch: str) -> Build:
    """`ptx` as a cubin for `arch`, `sm_70` and the like.

    Raises:
        ToolchainError: ptxas is missing, or refuses the PTX for `arch`.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, cubin = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        source.write_bytes(ptx)
        command = [str(ptxas()), "-v", f"-arch={arch}", str(source), "-o", str(cubin)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        told = done.stdout + done.stderr
        if done.returncode:
            raise ToolchainError(f"ptxas refuses a kernel for {arch}: {told.strip()[:500]}")
        return Build(cubin.read_bytes(), read_resources(told))


def ptxas() -> Path:
    """The program.

    Raises:
        ToolchainError: It is not installed.
    """
    return package_folder("cuda_nvcc") / "bin" / "ptxas"


def read_resources(told: str) -> dict[str, Resources]:
    """By kernel, from what `ptxas -v` tells."""
    _, *parts = _KERNEL.split(told)
    return {symbol: _resources(text) for symbol, text in zip(parts[::2], parts[1::2], strict=True)}


def _resources(told: str) -> Resources:
    stack, registers, shared = _STACK.search(told), _REGISTERS.search(told), _SHARED.search(told)
    if stack is None or registers is None:
        raise ToolchainError(f"ptxas tells something else than expected of a kernel: {told.strip()[:300]}")
    frame, stores, loads = (int(number) for number in stack.groups())
    return Resources(int(registers[1]), int(shared[1]) if shared else 0, frame, stores, loads)
