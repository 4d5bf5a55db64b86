"""TVM's runtime, loaded without TVM's Python package, which would bring the compiler's 250 MB along."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from lascompile.errors import ArtifactError, ToolchainError

_CPU_DEVICE, _POOLED_ALLOCATOR = 1, 2
_ONE_CPU_EACH, _SHARE_ALL_CPUS = -2, -3


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


def load_executable(path: Path) -> Any:  # noqa: ANN401 - tvm_ffi.Module, imported late
    """The functions of the library `path`, ready to be called.

    Raises:
        ArtifactError: It is no library, or one for another machine.
    """
    try:
        executable = ffi().load_module(str(path.resolve()))["vm_load_executable"]()
    except (RuntimeError, AttributeError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise ArtifactError(f"{path} cannot be loaded ({reason}); build the artifact again") from None
    executable["vm_initialization"](_CPU_DEVICE, 0, _POOLED_ALLOCATOR)
    return executable


def use_threads(count: int) -> None:
    """Run kernels that the calling thread starts on `count` threads from now on; not on more than there are CPUs.

    Where these are all CPUs that the process may use, each thread but the caller gets one of its own: see
    `caller_pinned`. Else all may run on all CPUs: others want to use the machine as well, other processes or a thread
    of this one whose kernels run on a CPU each just now, and Linux finds idle CPUs for them. By default TVM takes half
    of the CPUs and pins the caller too, which halves what else it computes.
    """
    cpus = _cpus()
    mode = _ONE_CPU_EACH if count >= len(cpus) and not _cpus_dealt_out.locked() else _SHARE_ALL_CPUS
    if (_in_use.threads, _in_use.cpus, _in_use.mode) == (count, cpus, mode):
        return
    if _in_use.is_pinned:
        _run_on(cpus)
    names = [str(cpu) for cpu in cpus]
    ffi().get_global_func("runtime.config_threadpool")(mode, min(count, len(cpus)), names)
    _in_use.threads, _in_use.cpus, _in_use.mode, _in_use.is_pinned = count, cpus, mode, False


@contextlib.contextmanager
def caller_pinned() -> Iterator[None]:
    """Keep the calling thread, which is one of those that compute, off the others' CPUs if they have their own.

    Two threads that wait for each other by yielding may stay on one CPU for a tenth of a second while another one is
    idle, and then take twice as long: measured in one of five processes whose other threads had just gone to sleep.
    """
    if _in_use.is_pinned or _in_use.mode != _ONE_CPU_EACH or not _cpus_dealt_out.acquire(blocking=False):
        yield
        return
    _run_on(_in_use.cpus[:1])
    try:
        yield
    finally:
        _run_on(_in_use.cpus)
        _cpus_dealt_out.release()


def pin_caller() -> None:
    """As `caller_pinned`, but until `use_threads` is given another number, in a process that only measures kernels."""
    if _in_use.mode == _ONE_CPU_EACH and not _in_use.is_pinned:
        _in_use.is_pinned = _run_on(_in_use.cpus[:1])


def _cpus() -> Sequence[int]:
    """Those that the calling thread may use, or might if it were not pinned."""
    cpus = sorted(os.sched_getaffinity(0))
    return _in_use.cpus if _in_use.is_pinned and cpus == _in_use.cpus[:1] else cpus


def _run_on(cpus: Sequence[int]) -> bool:
    """Whether the system lets the calling thread run on these CPUs alone: it may forbid that, or have taken them away.

    Then it runs where it can, which is slower at worst.
    """
    try:
        os.sched_setaffinity(0, cpus)
    except OSError:
        return False
    return True


class _InUse(threading.local):
    """What the calling thread has asked for, since TVM keeps a pool for each."""

    threads = 0
    cpus: Sequence[int] = ()
    mode = 0
    is_pinned = False


_in_use = _InUse()
_cpus_dealt_out = threading.Lock()
"""Held while one thread's kernels run on a CPU each; another one does not wait for it, but shares all CPUs."""
