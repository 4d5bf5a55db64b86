"""TVM's runtime, loaded without TVM's Python package, which would bring the compiler's 250 MB along."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from lascompile.errors import ArtifactError, ToolchainError
from lascompile.runtime.elf import check_library

_CPU_DEVICE, _POOLED_ALLOCATOR = 1, 2


@contextlib.contextmanager
def _without_torch() -> Iterator[None]:
    """Keep `tvm_ffi` from importing torch, as it does if it can, for a second and 180 MB that nobody asked for."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]


@lru_cache(maxsize=1)
def ffi() -> ModuleType:
    """`tvm_ffi`, with TVM's runtime loaded into the process.

    Raises:
        ToolchainError: One of the two is not installed.
    """
    spec = importlib.util.find_spec("tvm")
    try:
        with _without_torch():
            import tvm_ffi
    except ImportError as error:
        raise ToolchainError(f"apache-tvm-ffi cannot be imported ({error}); run lascompile doctor") from None
    if spec is None or spec.origin is None:
        raise ToolchainError("apache-tvm is not installed; run lascompile doctor")
    if "tvm" not in sys.modules:
        ctypes.CDLL(str(Path(spec.origin).parent / "lib" / "libtvm_runtime.so"), ctypes.RTLD_GLOBAL)
    return tvm_ffi


@cache
def _module(path: Path, _device: int, _inode: int, _written_ns: int) -> Any:
    """The library as TVM loads it; once, since TVM never frees what it makes of one (0.2 MB for a ResNet-18)."""
    return ffi().load_module(str(path))


def load_executable(path: Path) -> Any:  # noqa: ANN401 - tvm_ffi.Module, imported late
    """The functions of the library `path`, ready to be called.

    Raises:
        ArtifactError: It is no library, or one for another machine.
    """
    try:
        file = path.stat()
        check_library(path)
        executable = _module(path.resolve(), file.st_dev, file.st_ino, file.st_mtime_ns)["vm_load_executable"]()
    except (RuntimeError, AttributeError, ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ArtifactError(f"{path} cannot be loaded ({reason}); build the artifact again") from None
    executable["vm_initialization"](_CPU_DEVICE, 0, _POOLED_ALLOCATOR)
    return executable
