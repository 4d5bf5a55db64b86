"""Compiles rewritten kernels with the emulator's runtime; what was compiled once is kept in build/emulator."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[2] / "build" / "emulator"
MODES: dict[str, tuple[str, ...]] = {
    "fast": ("-O2",),
    "race": ("-O1", "-g", "-fsanitize=thread"),
    "bounds": ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize=vptr"),
}
"""How kernels are compiled: for their results; for races and bounds of every access; with ASan and UBSan."""

_LINK = {"bounds": ("-fsanitize=address,undefined",)}
_RUNTIME = ("fibres.cpp", "shadow.cpp", "instructions.cpp")
_COMMON = ("-std=c++20", "-fPIC", "-w", "-fno-strict-aliasing", "-ffp-contract=off", f"-I{HERE / 'include'}")
_UNKNOWN_MACHINE = "the emulator of CUDA kernels needs g++ on x86-64"


def available() -> str | None:
    """None where kernels can be emulated; else why not."""
    return None if shutil.which("g++") and platform.machine() == "x86_64" else _UNKNOWN_MACHINE


def kernel_program(code: str, mode: str, name: str) -> Path:
    """A program that runs the kernel `name` of the rewritten `code` once, as main.cpp tells."""
    flags = (*MODES[mode], *_COMMON, f"-Demu_kernel_{name}=emu_kernel")
    return _kept("program", code, flags, lambda source, out: _link_program(source, out, flags, mode))


def kernel_library(code: str, mode: str = "fast") -> Path:
    """The kernels of the rewritten `code` as a shared library, for a process that has the runtime; not for `bounds`."""
    flags = (*MODES[mode], *_COMMON)

    def make(source: Path, out: Path) -> None:
        part = out.with_suffix(".o")
        _compile(source, part, flags)
        _run(["-shared", str(part), "-o", str(out)])  # without -fsanitize, whose runtime ours takes the place of

    return _kept("library", code, flags, make)


def driver_library(source: Path, include: Path) -> Path:
    """The fake driver `source` and the emulator's runtime as one library; `include` has NVIDIA's headers."""
    flags = ("-O2", "-std=c++20", "-fPIC", "-w", f"-I{include}", f"-idirafter{HERE / 'include'}")
    link = ("-shared", "-Wl,-soname,libcuda.so.1", "-ldl")

    def make(copy: Path, out: Path) -> None:
        part = out.with_suffix(".o")
        _compile(copy, part, flags)
        _run([str(part), *(str(_object(name)) for name in _RUNTIME), *link, "-o", str(out)])

    return _kept("driver", source.read_text(encoding="utf-8"), (*flags, *link), make)


def _link_program(source: Path, out: Path, flags: tuple[str, ...], mode: str) -> None:
    part = out.with_suffix(".o")
    _compile(source, part, flags)
    objects = [_object(name) for name in (*_RUNTIME, "main.cpp")]
    _run([*_LINK.get(mode, ()), str(part), *map(str, objects), "-o", str(out), "-ldl"])
    part.unlink()


def _compile(source: Path, out: Path, flags: tuple[str, ...]) -> None:
    _run([*flags, "-c", "-x", "c++", str(source), "-o", str(out)])


def _object(name: str) -> Path:
    flags = ("-O2", "-g", *_COMMON, f"-I{HERE}")
    code = (HERE / name).read_text(encoding="utf-8")
    return _kept("object", code, flags, lambda source, out: _compile(source, out, flags))


def _kept(kind: str, code: str, flags: tuple[str, ...], make: Callable[[Path, Path], None]) -> Path:
    """What `make(source, destination)` makes of `code`; once, whichever process asks first."""
    key = hashlib.sha256("\0".join([kind, *flags, code, _sources()]).encode()).hexdigest()[:32]
    kept = CACHE / f"{key}.{kind}"
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            source, made = Path(folder) / "kernel.cpp", Path(folder) / "made"
            source.write_text(code, encoding="utf-8")
            make(source, made)
            made.replace(kept)
    return kept


def _sources() -> str:
    files = sorted([*HERE.glob("*.cpp"), *HERE.glob("*.h"), *HERE.glob("include/*.h")])
    return "".join(file.read_text(encoding="utf-8") for file in files)


def _run(words: list[str]) -> None:
    done = subprocess.run(["g++", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"g++ failed:\n{done.stderr[:4000]}")
