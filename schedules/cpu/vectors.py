"""What code that is written by hand is made of: vectors of channels, quotients, prefetches."""

from __future__ import annotations

from tvm import tirx
from tvm.ir import Expr
from tvm.tirx.script.builder import ir as T

LINE_BYTES = 64
"""A cache line."""

_LINE_FLOATS = LINE_BYTES // 4
_READ, _TO_SECOND_LEVEL, _DATA = 0, 2, 1


def vector(start: Expr | int, lanes: int) -> Expr:
    """The indices of `lanes` neighbours from `start`."""
    start = T.int32(start) if isinstance(start, int) else start
    return tirx.Ramp(start, 1, lanes) if lanes > 1 else start


def broadcast(value: Expr, lanes: int) -> Expr:
    """`value` in each lane."""
    return tirx.Broadcast(value, lanes) if lanes > 1 else value


def ceil_div(number: Expr, by: Expr | int) -> Expr:
    """The quotient of numbers that are not negative, rounded up.

    Division that rounds towards zero is what a CPU has; LLVM needs minutes to see through any other in loop bounds.
    """
    return tirx.truncdiv(number + by - 1, by)


def prefetch_lines(buffer: tirx.Var, row: Expr, first: Expr, lines: int) -> None:
    """Ask for cache lines of `buffer` [rows, floats], from number `first` of `row`; the end may lie beyond it."""
    for line in range(lines):
        prefetch(tirx.address_of(buffer[row, (first + line) * _LINE_FLOATS]))


def prefetch(address: Expr) -> None:
    """Ask for the cache line at `address`; it may lie beyond a buffer's end, which does no harm."""
    hints = (tirx.const(hint, "int32") for hint in (_READ, _TO_SECOND_LEVEL, _DATA))
    T.evaluate(tirx.call_llvm_intrin("void", "llvm.prefetch", address, *hints))


def lines_of(floats: int) -> int:
    """Cache lines that so many numbers take."""
    return -(-floats // _LINE_FLOATS)
