"""Kernels for several architectures at once: PTX once for a class of them, a cubin for each, all kept by content.

NVRTC takes longest, so that it runs once for the lowest capability of a class: the schedules of a class are the same.
The PTX of the highest stays with the kernel, for devices newer than all of them.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lascompile.cuda import nvrtc
from lascompile.cuda.occupancy import Occupancy, occupancy, why_not
from lascompile.cuda.ptxas import Build, Resources, assemble
from lascompile.cuda.source import KernelSource
from lascompile.files import write_whole
from lascompile.target import CudaTarget

CLASSES = (62, 70, 80)
"""The lowest capability of each class: CUDA cores; wmma; mma with asynchronous copies."""


@dataclass(frozen=True)
class CompiledKernel:
    """A function's kernels for several architectures.

    Attributes:
        source: What was compiled.
        ptx: For devices newer than all of `builds`; the driver compiles it when it is loaded.
        builds: By architecture.
    """

    source: KernelSource
    ptx: bytes
    builds: dict[str, Build]

    def occupancies(self, target: CudaTarget) -> list[Occupancy]:
        """Of each launch on `target`."""
        build = self.builds[target.arch]
        return [occupancy(launch, build.resources[launch.symbol], target) for launch in self.source.launches]

    def why_not(self, target: CudaTarget) -> str | None:
        """Why it is not to be chosen for `target`; None if it may be."""
        build = self.builds[target.arch]
        reasons = (why_not(launch, build.resources[launch.symbol], target) for launch in self.source.launches)
        return next((reason for reason in reasons if reason), None)


def class_of(capability: int) -> int:
    """The lowest capability of the class that a device belongs to."""
    return max(lowest for lowest in CLASSES if lowest <= max(capability, CLASSES[0]))


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/lascompile/cubins`, by default `~/.cache/lascompile/cubins`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (cache if cache.is_absolute() else Path.home() / ".cache") / "lascompile" / "cubins"


def compile_kernels(
    sources: Sequence[KernelSource],
    targets: Sequence[CudaTarget],
    folder: Path | None = None,
    workers: int | None = None,
    on_kernel: Callable[[int, int], None] = lambda done, total: None,
) -> list[CompiledKernel]:
    """Compile `sources`, which were scheduled for one class, for each of `targets`.

    Args:
        sources: Kernels; equal ones are compiled once.
        targets: Of one class, at least one.
        folder: Where compiled kernels are kept (default: `cache_folder()`); processes may share it.
        workers: Compiled at a time (default: the CPUs).
        on_kernel: Told how many are done, and of how many.

    Raises:
        ToolchainError: NVRTC or ptxas is missing, or refuses a kernel.
        ValueError: `targets` are of several classes.
    """
    lowest = {class_of(target.capability) for target in targets}
    if len(lowest) != 1:
        raise ValueError(f"targets of several classes: {', '.join(target.arch for target in targets)}")
    (capability,) = lowest
    kept = _Kept(folder if folder is not None else cache_folder())
    texts = list(dict.fromkeys(source.text for source in sources))
    compiled: dict[str, tuple[bytes, dict[str, Build]]] = {}
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        jobs = pool.map(lambda text: _compile(text, capability, targets, kept), texts)
        for done, (text, result) in enumerate(zip(texts, jobs, strict=True), start=1):
            compiled[text] = result
            on_kernel(done, len(texts))
    return [CompiledKernel(source, *compiled[source.text]) for source in sources]


def _compile(
    text: str, capability: int, targets: Sequence[CudaTarget], kept: _Kept
) -> tuple[bytes, dict[str, Build]]:
    ptx = kept.ptx(text, min(capability, *(target.capability for target in targets)))
    return ptx, {target.arch: kept.build(ptx, target.arch) for target in targets}


@dataclass(frozen=True)
class _Kept:
    """What was compiled before, by content: a file is written beside its place and moved there whole."""

    folder: Path

    def ptx(self, text: str, capability: int) -> bytes:
        place = self._place("ptx", nvrtc.version(), str(capability), text)
        if not place.exists():
            self._write(place, nvrtc.compile_ptx(text, capability))
        return place.read_bytes()

    def build(self, ptx: bytes, arch: str) -> Build:
        place = self._place("cubin", nvrtc.version(), arch, ptx.decode())
        if not place.exists():
            build = assemble(ptx, arch)
            told = json.dumps(build.resources_as_json()).encode()
            self._write(place, len(told).to_bytes(8, "little") + told + build.cubin)
        content = place.read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        resources = {symbol: Resources(**fields) for symbol, fields in json.loads(content[8:end]).items()}
        return Build(content[end:], resources)

    def _place(self, kind: str, *content: str) -> Path:
        return self.folder / f"{hashlib.sha256(chr(0).join(content).encode()).hexdigest()[:40]}.{kind}"

    def _write(self, place: Path, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(place, content)
