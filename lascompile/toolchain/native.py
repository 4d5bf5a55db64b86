"""The C sources of `lascompile/native/`, compiled for the processor of a library that they are linked into.

The driver that links compiles them: it takes a tenth of a second, and whoever can link can also cross-compile.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from lascompile.errors import ToolchainError

SOURCES = Path(__file__).resolve().parents[1] / "native"

Run = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]
"""Runs a command and captures what it says."""

_FLAGS = (
    *("-x", "c", "-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden", "-c"),
    # What some distributions and zig switch on asks for functions of libraries that are not linked in.
    *("-fno-stack-protector", "-fno-sanitize=all", "-U_FORTIFY_SOURCE"),
)
_PROCESSOR_FLAGS = {"aarch64": ("-mno-outline-atomics",)}


@lru_cache(maxsize=8)
def compile_native(command: tuple[str, ...], processor: str, run: Run) -> dict[str, bytes]:
    """By source file, its machine code.

    Args:
        command: What stands before the flags and files: a compiler driver for C, for the wanted processor.
        processor: As target triples begin.
        run: Runs it.

    Raises:
        ToolchainError: The compiler failed; with its last words.
    """
    compiled = {}
    flags = (*_FLAGS, *_PROCESSOR_FLAGS.get(processor, ()))
    with tempfile.TemporaryDirectory(prefix="lascompile-") as folder:
        for source in sorted(SOURCES.glob("*.c")):
            code = Path(folder) / source.with_suffix(".o").name
            done = run([*command, *flags, "-o", str(code), str(source)])
            if done.returncode != 0:
                said = [line for line in (done.stderr or done.stdout).splitlines() if "error" in line]
                raise ToolchainError(
                    f"{' '.join(command)} could not compile {source.name} ({said[0] if said else 'no message'}); "
                    "install the C library's headers, or ziglang, which brings its own"
                )
            compiled[source.name] = code.read_bytes()
    return compiled
