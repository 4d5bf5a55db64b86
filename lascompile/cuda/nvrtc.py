"""CUDA C to PTX, by NVIDIA's runtime compiler."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from lascompile.errors import ToolchainError

_HEADERS = ("cuda_runtime", "cuda_cccl", "cuda_nvcc")
"""Parts of the `nvidia` package whose headers kernels include: mma.h is of the first, and includes some of the last."""

INSTALL = "install lascompile with its extra 'cuda': pip install 'lascompile[cuda]'"


def compile_ptx(source: str, capability: int) -> bytes:
    """`source` as PTX for devices of `capability` and above.

    Raises:
        ToolchainError: NVRTC is missing, or refuses the source.
    """
    nvrtc = _nvrtc()
    options = [f"--gpu-architecture=compute_{capability}", "--std=c++17", "-default-device"]
    options += [f"--include-path={folder}" for folder in include_folders()]
    error, program = nvrtc.nvrtcCreateProgram(source.encode(), b"kernel.cu", 0, [], [])
    _check(nvrtc, error)
    encoded = [option.encode() for option in options]
    (failed,) = nvrtc.nvrtcCompileProgram(program, len(encoded), encoded)
    try:
        if failed != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise ToolchainError(f"NVRTC refuses a kernel for compute_{capability}: {_log(nvrtc, program)}")
        error, size = nvrtc.nvrtcGetPTXSize(program)
        _check(nvrtc, error)
        ptx = b" " * size
        _check(nvrtc, *nvrtc.nvrtcGetPTX(program, ptx))
        return ptx.rstrip(b"\0")
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def version() -> str:
    """Of NVRTC, as in `12.9`."""
    nvrtc = _nvrtc()
    error, major, minor = nvrtc.nvrtcVersion()
    _check(nvrtc, error)
    return f"{major}.{minor}"


@cache
def include_folders() -> tuple[str, ...]:
    """Where the headers are that kernels include.

    Raises:
        ToolchainError: A package is missing.
    """
    return tuple(str(package_folder(part) / "include") for part in _HEADERS)


def package_folder(part: str) -> Path:
    """The folder of `nvidia.part`.

    Raises:
        ToolchainError: It is not installed.
    """
    found = importlib.util.find_spec(f"nvidia.{part}") if importlib.util.find_spec("nvidia") else None
    if found is None or not found.submodule_search_locations:
        raise ToolchainError(f"the package nvidia-{part.replace('_', '-')}-cu12 is missing: {INSTALL}")
    return Path(next(iter(found.submodule_search_locations)))


def _nvrtc() -> Any:
    try:
        from cuda.bindings import nvrtc
    except ImportError as error:
        raise ToolchainError(f"NVRTC cannot be used ({error}): {INSTALL}") from None
    return nvrtc


def _log(nvrtc: Any, program: Any) -> str:
    error, size = nvrtc.nvrtcGetProgramLogSize(program)
    _check(nvrtc, error)
    log = b" " * size
    _check(nvrtc, *nvrtc.nvrtcGetProgramLog(program, log))
    return log.rstrip(b"\0").decode(errors="replace")


def _check(nvrtc: Any, error: Any) -> None:
    if error != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise ToolchainError(f"NVRTC failed: {error}")
