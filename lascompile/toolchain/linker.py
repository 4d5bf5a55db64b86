"""The program that turns TVM's object files, and the C sources beside them, into a shared library.

A C++ compiler where the machine has one, else PyPI's `ziglang`, which also links for other processors. Either
way nothing but the objects goes in (`-nostdlib`): no start files are needed, and the library asks for no
version of the C library, so that it loads on older systems than the one it was built on. What it calls
(`expf`, `memcpy`, TVM's runtime) it finds in the process that loads it: `libtvm_ffi` has brought them all in.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lascompile import cpu
from lascompile.errors import ToolchainError
from lascompile.toolchain.native import compile_native

_SYSTEM = ("c++", "g++", "clang++", "cc", "gcc", "clang")
_FULL_DISK = re.compile("no space left|NoSpaceLeft", re.IGNORECASE)
_FLAGS = ("-shared", "-nostdlib", "-Wl,--strip-debug")


@dataclass(frozen=True)
class Linker:
    """A linker for one processor, callable as `export_library(fcompile=...)` of TVM wants it."""

    name: str
    command: tuple[str, ...]
    """What stands before the flags and files."""
    processor: str
    """For which it links, as target triples begin."""

    def __call__(self, output: str, objects: Sequence[str], options: Sequence[str] | None = None) -> None:
        """Links `objects` and the native sources into the shared library `output`.

        Raises:
            ToolchainError: the linker failed; with its last words.
            OSError: the disk is full.
        """
        native = compile_native(self.command, self.processor, _run)
        with tempfile.TemporaryDirectory(prefix="lascompile-") as folder:
            own = [Path(folder) / f"{name}.o" for name in native]
            for path, code in zip(own, native.values(), strict=True):
                path.write_bytes(code)
            files = map(str, (*objects, *own))
            done = _run([*self.command, *_FLAGS, "-o", str(output), *files, *(options or ())])
        if done.returncode != 0:
            words = (done.stderr or done.stdout).strip().splitlines()[-3:]
            raise ToolchainError(f"{self.name} could not link the library: {' '.join(words) or 'no message'}")

    @property
    def version(self) -> str:
        """The first line of its `--version`, empty where it has none."""
        return _version(self.command)


def find_linker(mtriple: str) -> Linker | None:
    """A linker for `mtriple` (`x86_64-linux-gnu`), or None."""
    processor = mtriple.partition("-")[0]
    native = processor == cpu.processor()
    for name in _SYSTEM if native else (f"{processor}-linux-gnu-{name}" for name in ("g++", "gcc")):
        path = shutil.which(name)
        if path and _version((path,)):
            return Linker(name, (path,), processor)
    if importlib.util.find_spec("ziglang"):
        command = (sys.executable, "-m", "ziglang", "cc", "-target", f"{processor}-linux-gnu")
        return Linker("ziglang", command, processor)
    return None


def link_function(mtriple: str) -> Linker:
    """What to give TVM's `export_library` as `fcompile` for code of `mtriple`.

    Raises:
        ToolchainError: there is no linker for that processor, and how to get one.
    """
    linker = find_linker(mtriple)
    if linker is None:
        raise ToolchainError(
            f"no linker for {mtriple}: found neither a compiler ({', '.join(_SYSTEM)}) nor ziglang: "
            "run `python -m pip install 'ziglang==0.17.*'`"
        )
    return linker


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command that writes what stands behind `-o`.

    Raises:
        OSError: The disk is full.
    """
    with tempfile.TemporaryDirectory(prefix="lascompile-") as cache:
        # zig wants a cache even where it stores next to nothing, and the home directory may be read-only.
        environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0 and _FULL_DISK.search(done.stderr + done.stdout):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), command[command.index("-o") + 1])
    return done


def _version(command: tuple[str, ...]) -> str:
    """The first line of `--version`; empty where the program only pretends to be there (a stub or a shim)."""
    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""
