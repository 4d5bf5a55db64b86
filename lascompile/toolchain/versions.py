"""Which packages lascompile uses and which versions work together, asked of the installed metadata alone.

Nothing here imports the packages: a wrong pair of apache-tvm and apache-tvm-ffi ends the process, with no
exception to catch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata

from lascompile.errors import ToolchainError


@dataclass(frozen=True)
class Requirement:
    """A package that works in a range of versions only, and what was seen outside it."""

    package: str
    pin: str
    """The version that lascompile is tested with."""
    since: tuple[int, ...]
    before: tuple[int, ...]
    fault_below: str
    fault_above: str

    def fault(self) -> str | None:
        """What is wrong with the installed version, or None."""
        version = installed(self.package)
        if version is None:
            return f"{self.package} is not installed"
        if _release(version) < self.since:
            return f"{self.package} {version} {self.fault_below}"
        if _release(version) >= self.before:
            return f"{self.package} {version} {self.fault_above}"
        return None

    @property
    def remedy(self) -> str:
        """The command that installs what works."""
        return f"python -m pip install {self.package}=={self.pin}"


REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement(
        "apache-tvm",
        pin="0.27.0.post1",
        since=(0, 27),
        before=(0, 28),
        fault_below="lacks interfaces that lascompile uses",
        fault_above="is newer than lascompile knows, and TVM renames its interfaces with each release",
    ),
    Requirement(
        "apache-tvm-ffi",
        pin="0.1.14.post1",
        since=(0, 1, 14),
        before=(0, 1, 15),
        fault_below="is refused by apache-tvm 0.27 on import",
        fault_above="makes apache-tvm 0.27 crash (segmentation fault in tvm.ir.save_json)",
    ),
)


@dataclass(frozen=True)
class Package:
    """A row of `PACKAGES`: a dependency that pyproject.toml declares."""

    name: str
    module: str
    specifier: str
    """As pyproject.toml writes it."""
    purpose: str
    extra: str | None = None
    """The extra of pyproject.toml that brings it, None for those that every installation has."""

    @property
    def remedy(self) -> str:
        """The command that installs it."""
        return f"python -m pip install '{self.name}{self.specifier}'"


PACKAGES: tuple[Package, ...] = (
    Package("numpy", "numpy", ">=1.26", "arrays"),
    Package("onnx", "onnx", ">=1.18", "reading models"),
    Package("onnx-ir", "onnx_ir", ">=1.0", "reading models"),
    Package("onnxscript", "onnxscript", ">=0.7", "simplifying models"),
    Package("protobuf", "google", ">=4", "reading models"),
    Package("onnxruntime", "onnxruntime", ">=1.20", "verify, bench"),
    Package("pillow", "PIL", ">=10.1", "run --masks, export --calibration"),
    Package("rich", "rich", ">=13", "tables and progress"),
    Package("torch", "torch", "==2.13.0", "export, bench --baselines torch", "models"),
    Package("openvino", "openvino", ">=2026.4", "bench --baselines openvino", "bench"),
    Package("matplotlib", "matplotlib", ">=3.9", "plots of the benchmarks", "bench"),
    Package("cloudpickle", "cloudpickle", ">=3", "tuning of schedules", "tune"),
    Package("psutil", "psutil", ">=6", "tuning of schedules", "tune"),
    Package("xgboost", "xgboost", ">=3", "tuning of schedules, fitted predictors", "tune"),
    Package("scipy", "scipy", ">=1.11", "fitting of predictors", "tune"),
    Package("tornado", "tornado", ">=6", "tuning on other machines", "tune"),
    Package("cuda-bindings", "cuda", "==12.9.*", "compiling for GPUs, and running on them", "cuda"),
    Package("nvidia-cuda-nvrtc-cu12", "nvidia", "==12.9.86", "compiling for GPUs", "cuda"),
    Package("nvidia-cuda-nvcc-cu12", "nvidia", "==12.9.86", "compiling for GPUs", "cuda"),
    Package("nvidia-cuda-runtime-cu12", "nvidia", "==12.9.79", "compiling for GPUs", "cuda"),
    Package("nvidia-cuda-cccl-cu12", "nvidia", "==12.9.27", "compiling for GPUs", "cuda"),
    Package("ziglang", "ziglang", "==0.17.*", "linking with no compiler, or for another processor", "zig"),
)


def installed(package: str) -> str | None:
    """The installed version of `package`, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def check_versions() -> None:
    """Refuses versions that are known to break each other; call it before `tvm` is imported.

    Raises:
        ToolchainError: with the command that mends it.
    """
    for requirement in REQUIREMENTS:
        fault = requirement.fault()
        if fault:
            raise ToolchainError(f"{fault}: run `{requirement.remedy}`")


def missing_package(module: str | None) -> ToolchainError | None:
    """What to tell a user when `module` cannot be imported; None where it is no package of `PACKAGES`.

    Others of the same extra that are missing too are named with it, so that one command brings them all.
    """
    top = (module or "").partition(".")[0]
    package = next((package for package in PACKAGES if package.module == top), None)
    if package is None:
        return None
    others = [other for other in PACKAGES if other.extra and other.extra == package.extra and other != package]
    missing = [package, *(other for other in others if not installed(other.name))]
    names = ", ".join(item.name for item in missing)
    wanted = " ".join(f"'{item.name}{item.specifier}'" for item in missing)
    return ToolchainError(
        f"{names} {'is' if len(missing) == 1 else 'are'} not installed, needed for {package.purpose}: "
        f"run `python -m pip install {wanted}`"
    )


def _release(version: str) -> tuple[int, ...]:
    """`0.1.14.post1` -> (0, 1, 14): what comes after the numbers repackages the same release."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in numbers.group().split(".")) if numbers else ()
