"""Runs a kernel of an emitted source."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tests.cuda.emulator.compiler import MODES, kernel_program
from tests.cuda.emulator.rewriter import Kernel, kernels, rewrite

Value: TypeAlias = "np.ndarray | np.generic"
Arguments: TypeAlias = "Mapping[str, Any] | Sequence[Any]"
Dim3: TypeAlias = "int | Sequence[int]"
_SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0", "UBSAN_OPTIONS": "print_stacktrace=0"}
_TELLING = re.compile(r"^.*(?:ERROR: AddressSanitizer|runtime error|^(?:READ|WRITE) of size|#[0-2] ).*$", re.MULTILINE)


class KernelFault(AssertionError):
    """A kernel did what it must not; the message has a line for each finding."""


def run_kernel(
    source: str,
    name: str,
    grid: Dim3,
    block: Dim3,
    args: Arguments,
    mode: str = "fast",
    order: int = 0,
    dynamic_shared_bytes: int = 0,
) -> dict[str, np.ndarray]:
    """Run the kernel `name` of `source` once; the arrays after it, by parameter (without TVM's `_ptr`).

    Args:
        source: CUDA C as TVM emits it.
        name: The kernel's symbol.
        grid: Blocks, along x or along (x, y, z).
        block: Threads of a block, likewise.
        args: Arrays and NumPy scalars by parameter, or in the order of the parameters. Arrays are not changed.
        mode: `fast`, `race` or `bounds`.
        order: In which order threads and blocks take turns; odd orders go backwards, and copy asynchronously at once.
        dynamic_shared_bytes: Of `extern __shared__`.

    Raises:
        KernelFault: A race, an access out of bounds or misaligned, a barrier that not all threads reach, a crash.
        UnknownPtx: The source has inline PTX that the emulator does not know.
    """
    kernel = kernels(source)[name]
    given = _by_parameter(kernel, args)
    program = kernel_program(rewrite(source), mode, name)
    with tempfile.TemporaryDirectory() as folder:
        files = {key: Path(folder) / key for key in given}
        for key, value in given.items():
            files[key].write_bytes(np.ascontiguousarray(value).tobytes())
        numbers = [*_three(grid), *_three(block), dynamic_shared_bytes, order]
        words = [f"{'array' if _is_array(value) else 'value'}:{files[key]}" for key, value in given.items()]
        command = [str(program), *map(str, numbers), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | _SANITIZERS)
        if done.returncode or "runtime error" in done.stderr:
            raise KernelFault(f"{name}, mode {mode}, order {order}: {_findings(done)}")
        return {key: _read(files[key], value) for key, value in given.items() if _is_array(value)}


def run_checked(
    source: str,
    name: str,
    grid: Dim3,
    block: Dim3,
    args: Arguments,
    dynamic_shared_bytes: int = 0,
) -> dict[str, np.ndarray]:
    """Run a kernel in every mode and in an even and an odd order; its arrays, which must be the same bit by bit.

    Raises:
        KernelFault: As `run_kernel`, or the results depend on the order.
    """
    runs = (("fast", 0), ("fast", 1), ("race", 0), ("race", 1), ("bounds", 0))
    first: dict[str, np.ndarray] | None = None
    for mode, order in runs:
        arrays = run_kernel(source, name, grid, block, args, mode, order, dynamic_shared_bytes)
        first = first or arrays
        differing = [key for key in arrays if arrays[key].tobytes() != first[key].tobytes()]
        if differing:
            told = ", ".join(differing)
            raise KernelFault(f"{name}: {told} of mode {mode}, order {order} differ from the first run's")
    assert first is not None
    return first


def _by_parameter(kernel: Kernel, args: Arguments) -> dict[str, Value]:
    names = [parameter.removesuffix("_ptr") for parameter in kernel.parameters]
    given = args if isinstance(args, Mapping) else dict(zip(names, args, strict=True))
    if set(given) != set(names):
        raise TypeError(f"{kernel.name} has the parameters {', '.join(names)}, got {', '.join(given)}")
    return {name: given[name] for name in names}


def _is_array(value: Value) -> bool:
    return isinstance(value, np.ndarray)


def _three(extents: Dim3) -> tuple[int, int, int]:
    x, y, z, *_ = (*((extents,) if isinstance(extents, int) else extents), 1, 1)
    return x, y, z


def _read(file: Path, like: Value) -> np.ndarray:
    return np.frombuffer(file.read_bytes(), like.dtype).reshape(like.shape).copy()


def _findings(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}\n{done.stderr[:2000]}"
    told = _TELLING.findall(done.stderr)
    return "\n".join(told[:8]) if told else done.stderr[:2000]


__all__ = ["MODES", "KernelFault", "run_checked", "run_kernel"]
