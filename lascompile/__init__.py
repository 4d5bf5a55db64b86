"""lascompile: a compiler for networks that skip work.

Importing it loads nothing heavy: `build`, `load` and `Artifact` bring TVM in when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lascompile.compile import build as build
    from lascompile.runtime.artifact import Artifact as Artifact
    from lascompile.runtime.artifact import load as load

__version__ = "0.1.0"
__all__ = ["Artifact", "__version__", "build", "load"]

_LAZY = {
    "build": "lascompile.compile",
    "load": "lascompile.runtime.artifact",
    "Artifact": "lascompile.runtime.artifact",
}


def __getattr__(name: str) -> object:
    """Import what `_LAZY` names, once its versions are known not to break each other."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    importlib.import_module("lascompile.toolchain").check_versions()
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
