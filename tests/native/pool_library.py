"""The pool as a library by itself, called through ctypes, with tasks written in C."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

from lascompile import cpu
from lascompile.toolchain import find_linker
from lascompile.toolchain.native import SOURCES

TASKS = Path(__file__).with_name("tasks.c")


def compile_pool(folder: Path) -> Path:
    """The tasks of these tests as a shared library in `folder`, linked as every library is: with the pool."""
    linker = find_linker(f"{cpu.processor()}-linux-gnu")
    assert linker is not None
    flags = ["-x", "c", "-std=gnu11", "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-I{SOURCES}"]
    code, library = folder / "tasks.o", folder / "pool.so"
    subprocess.run([*linker.command, *flags, "-c", "-o", str(code), str(TASKS)], check=True)
    linker(str(library), [str(code)])
    return library


def sanitized_program(folder: Path, sanitizer: str) -> Path | None:
    """stress.c with the pool, under -fsanitize=`sanitizer`; None where the compiler does not have it."""
    program = folder / "stress"
    sources = [SOURCES / "pool.c", TASKS, TASKS.with_name("stress.c")]
    flags = ["-std=gnu11", "-O1", "-g", f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", f"-I{SOURCES}"]
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    done = subprocess.run([compiler, *flags, "-o", program, *sources, "-lpthread"], capture_output=True, check=False)
    return program if done.returncode == 0 else None


class Pool:
    """What the tests call; a copy of the library each, so that none meets another's threads."""

    def __init__(self, path: Path) -> None:
        self.library = ctypes.CDLL(str(path))
        self.enter = self.library.lascompile_pool_enter
        self.leave = self.library.lascompile_pool_leave
        self.stop = self.library.lascompile_pool_stop
        self.workers = self.library.lascompile_pool_workers
        self.default = self.library.lascompile_pool_default
        self.rows = self.library.test_rows
        """rows(turns, length, launches): launches a loop again and again; how often it was wrong."""
        self.failing = self.library.test_failing
        """failing(task): what a launch returns of which that task returns 7."""
        self.nested = self.library.test_nested
        """nested(): wrong sums of loops within loops."""
        self.parts = self.library.test_parts
        """parts(num_task): how many tasks ran, each once; -1 if one ran twice."""
        self.gather = self.library.test_gather
        """gather(num_task, microseconds): how many tasks, which take so long, ran at the same time at most."""
        self.uneven = self.library.test_uneven
        """uneven(microseconds): a launch of which one task takes so long, without computing."""
        self.barrier = self.library.test_barrier
        """barrier(): what a launch returns whose tasks would wait for each other."""
