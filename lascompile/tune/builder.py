"""Build candidates as `build` does: the same schedule, guard, pipeline and linker, one kernel a library."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm
from tvm.support.popen_pool import PopenPoolExecutor

from lascompile.records import Failure
from lascompile.schedules.backends import backend_of
from lascompile.schedules.cpu.tile_permission import PERMIT, needs_tiles, permission_function
from lascompile.target import Target
from lascompile.toolchain import Linker, link_function
from lascompile.tune.trial import ENTRY, Job

_USES_OF_PROCESS = 64
"""LLVM leaks: a process is replaced after so many kernels."""


@dataclass(frozen=True)
class Built:
    """A candidate's library, or why there is none."""

    job: Job
    library: Path | None = None
    failure: Failure | None = None


class Builder:
    """Builds in processes of its own, which may crash or hang without harm.

    Args:
        target: What machine code is made for.
        processes: How many kernels are built at a time.
        timeout_s: Seconds after which a build has failed.

    Raises:
        ToolchainError: There is no linker for the target: no fault of the candidates, which would all fail.
    """

    def __init__(self, target: Target, processes: int, timeout_s: float = 60.0) -> None:
        self._target = target
        self._link = link_function(target.host_triple)
        self._timeout_s = timeout_s
        self._folder = tempfile.TemporaryDirectory(prefix="lascompile-tune-")
        self._pool = PopenPoolExecutor(
            processes, timeout_s, _keep_files_in, (self._folder.name,), maximum_process_uses=_USES_OF_PROCESS
        )
        self._built = 0

    def build(self, jobs: Sequence[Job]) -> list[Built]:
        """The libraries of `jobs`, in order."""
        futures = [self._submit(job) for job in jobs]
        try:
            return [self._result(job, path, future) for job, (path, future) in zip(jobs, futures, strict=True)]
        finally:
            # After Ctrl-C, what has not begun does not begin.
            for _, future in futures:
                future.cancel()

    def close(self) -> None:
        """End the processes and remove the libraries."""
        self._pool.shutdown()
        self._folder.cleanup()

    def remove_files(self) -> None:
        """Remove the libraries, and what processes that were killed have left, whatever is going on."""
        shutil.rmtree(self._folder.name, ignore_errors=True)

    def _submit(self, job: Job) -> tuple[Path, Future[None]]:
        self._built += 1
        path = Path(self._folder.name) / f"trial{self._built}.so"
        what = job.workload, job.algorithm, job.decisions
        return path, self._pool.submit(build_library, *what, self._target, path, self._link)

    def _result(self, job: Job, path: Path, future: Future[None]) -> Built:
        try:
            future.result()
        except TimeoutError:
            return Built(job, failure=Failure("timeout", f"not built within {self._timeout_s:g} s"))
        except ChildProcessError:
            return Built(job, failure=Failure("build", "the compiler crashed"))
        except Exception as error:  # whatever the compiler raises is the trial's outcome
            return Built(job, failure=Failure("build", f"{type(error).__name__}: {error}"))
        return Built(job, path)


def _keep_files_in(folder: str) -> None:
    """Make this process, which may be killed at any moment, keep its temporary files in `folder`."""
    os.environ["TMPDIR"] = tempfile.tempdir = folder


def build_library(
    workload: Any, algorithm: str, decisions: Any, target: Target, path: Path, link: Linker
) -> None:
    """Write the library of one kernel, whose function is ENTRY, to `path`; with PERMIT, if it needs tile registers."""
    backend = backend_of(target.kind)
    chosen = backend.algorithms[algorithm]
    func = chosen.schedule(workload, decisions).with_attr("global_symbol", ENTRY)
    functions = {ENTRY: func, **({PERMIT: permission_function()} if needs_tiles(chosen) else {})}
    module = tvm.IRModule(functions)
    executable = tvm.compile(module, target=target.to_tvm(), tir_pipeline=backend.pipeline())
    executable.export_library(str(path), fcompile=link)
