"""Permission to use the tile registers of a board's CPU, which its server has to ask Linux for.

A board has TVM's server and nothing of lascompile's, so that the library of a trial brings along a function that asks.
"""

from __future__ import annotations

import tvm
from tvm import tirx

from lascompile.cpu import TILE_FEATURES, TILE_PERMISSION
from lascompile.schedules.algorithm import Algorithm

PERMIT = "permit_tiles"
"""The name of the function."""

REFUSED = "the board does not let kernels use the tile registers (AMX)"
"""How the message of an error begins that the board, not the kernel, is to blame for."""

ADVICE = (
    "it needs an Intel CPU that has them and Linux 5.16 or newer; "
    "else give a --target without them, as by -mattr=-amx-tile,-amx-bf16"
)
"""What to do then."""


class TilesRefusedError(Exception):
    """The CPU has no tile registers, or its system does not hand them out."""

    def __init__(self) -> None:
        super().__init__(REFUSED)


def needs_tiles(algorithm: Algorithm) -> bool:
    """Whether kernels of `algorithm` use tile registers."""
    return bool(algorithm.features & TILE_FEATURES)


def permission_function() -> tirx.PrimFunc:
    """A function without arguments that asks, and returns 0 where the process may use them from now on."""
    # `syscall` is found in the process that loads the library, as all that kernels call.
    arguments = [tirx.const(word, "int64") for word in TILE_PERMISSION]
    asked = tirx.call_extern("int64", "syscall", *arguments)
    return tirx.PrimFunc([], tirx.Return(asked)).with_attr("global_symbol", PERMIT)


def ask_for_tiles(library: tvm.runtime.Module) -> None:
    """Ask where `library` was loaded. One that has the function is for CPUs that have the registers.

    Raises:
        TilesRefusedError: They may not be used.
    """
    if library[PERMIT]() != 0:
        raise TilesRefusedError
