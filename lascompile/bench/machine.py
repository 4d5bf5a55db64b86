"""What a measurement was made on."""

from __future__ import annotations

import os
import platform
from typing import Any

from lascompile import __version__, toolchain
from lascompile.cpu import cpu_model, physical_cores

_PACKAGES = ("apache-tvm", "onnxruntime", "openvino", "torch", "numpy")


def describe_machine(threads: int) -> dict[str, Any]:
    """CPU, cores, threads and versions, as JSON types."""
    versions = {name: toolchain.installed(name) for name in _PACKAGES}
    return {
        "cpu": cpu_model(),
        "cores": physical_cores(),
        "threads": threads,
        "system": f"{platform.system()} {platform.release()}",
        "versions": {
            "lascompile": __version__,
            "python": platform.python_version(),
            **{name: version for name, version in versions.items() if version is not None},
        },
    }


def load_average() -> float | None:
    """Programs that wanted a CPU in the last minute, on average; None where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
