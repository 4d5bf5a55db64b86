"""A float32 as the sum of two bfloat16 numbers, at build time and in kernels.

bfloat16 is the upper half of a float32. The first number is the float32 rounded to it, the second what that leaves,
rounded in turn: together they hold 16 to 17 of the 24 bits of the mantissa.
"""

from __future__ import annotations

import numpy as np
from tvm import tirx
from tvm.ir import Expr
from tvm.tirx.script.builder import ir as T

LANES = 16
"""float32 numbers in a vector register of the CPUs that convert to bfloat16."""


def split(values: np.ndarray) -> np.ndarray:
    """float32 values → [2, …] uint16, the bits of their high and low parts; ties are rounded to even."""
    high = _rounded(values)
    halves = np.stack([high, _rounded(values - high)])
    return (halves.view(np.uint32) >> 16).astype(np.uint16)


def _rounded(values: np.ndarray) -> np.ndarray:
    """The nearest numbers whose lower 16 bits are zero, as float32."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + (bits >> 16 & 1)
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


def split_in_kernel(value: Expr, lanes: int) -> tuple[Expr, Expr]:
    """A vector of `lanes` float32 → the bits of its parts, vectors of uint16; of a NaN at least one part is NaN."""

    def number(constant: int) -> Expr:
        return tirx.Broadcast(tirx.const(constant, "uint32"), lanes)

    value = T.bind(value)
    bits = tirx.reinterpret(f"uint32x{lanes}", value)
    high = T.bind((bits + number(0x8000)) & number(0xFFFF0000))
    # The upper 16 bits of a little-endian number stand behind the lower ones.
    words = tirx.reinterpret(f"uint16x{2 * lanes}", high)
    upper = tirx.Shuffle([words], [tirx.const(2 * lane + 1, "int32") for lane in range(lanes)])
    return upper, _round_in_kernel(value - tirx.reinterpret(f"float32x{lanes}", high), lanes)


def _round_in_kernel(value: Expr, lanes: int) -> Expr:
    """The bits of `value`, rounded by the CPU's own instruction, which keeps a NaN."""
    if lanes == LANES:
        parts, name = [value], "cvtneps2bf16"
    else:
        value = T.bind(value)
        halves = ([tirx.const(half * LANES + lane, "int32") for lane in range(LANES)] for half in (1, 0))
        parts, name = [tirx.Shuffle([value], half) for half in halves], "cvtne2ps2bf16"
    rounded = tirx.call_llvm_pure_intrin(f"bfloat16x{lanes}", f"llvm.x86.avx512bf16.{name}.512", *parts)
    return tirx.reinterpret(f"uint16x{lanes}", rounded)
