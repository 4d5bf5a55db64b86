"""The kinds of targets that code is generated for: the one table of backends."""

from __future__ import annotations

from lascompile.errors import DeviceError
from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.backend import Backend
from lascompile.schedules.cpu.backend import CPU

BACKENDS: dict[str, Backend] = {"llvm": CPU}
"""By a target's kind."""


def backend_of(kind: str) -> Backend:
    """The backend for targets of `kind`.

    Raises:
        DeviceError: There is none.
    """
    if kind not in BACKENDS:
        raise DeviceError(f"no code is generated for targets of kind {kind} (only for: {', '.join(BACKENDS)})")
    return BACKENDS[kind]


def algorithm_of(kind: str, name: str) -> Algorithm:
    """The algorithm `name` on targets of `kind`.

    Raises:
        KeyError: It has none of that name.
    """
    return backend_of(kind).algorithms[name]


def algorithm_names() -> list[str]:
    """The names of all algorithms on any kind of target."""
    return list(dict.fromkeys(name for backend in BACKENDS.values() for name in backend.algorithms))
