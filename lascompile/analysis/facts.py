"""Facts about the elements of a value that hold for any input: is it 0 or 1, is it never negative?

They follow from its range: 1 - (a > b) is whole and between 0 and 1, hence 0 or 1.
"""

from __future__ import annotations

import onnx_ir as ir

from lascompile.analysis.operators import constant, copies_elements, moves_elements, operator
from lascompile.analysis.ranges import Range, range_of

__all__ = [
    "Range",
    "constant",
    "copies_elements",
    "is_binary",
    "is_nonnegative",
    "moves_elements",
    "operator",
    "range_of",
]


def is_binary(value: ir.Value | None) -> bool:
    """True if each element of `value` is provably 0 or 1 (or False or True)."""
    known = range_of(value)
    return known.whole and known.low >= 0 and known.high <= 1


def is_nonnegative(value: ir.Value | None) -> bool:
    """True if no element of `value` is provably below zero; NaN is allowed."""
    return range_of(value).low >= 0
