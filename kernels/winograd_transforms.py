"""Winograd's transforms for F(m×m, 3×3): their matrices, packed weights, and the arithmetic on vectors of channels.

m×m outputs of a 3×3 convolution take (m + 2)² products a pair of channels instead of 9 m² (Lavin and Gray, «Fast
Algorithms for Convolutional Neural Networks», 2016):

    Y = A^T [ (G g G^T) ⊙ (B^T d B) ] A,        d: (m + 2) × (m + 2) inputs,  g: 3 × 3 weights,  Y: m × m outputs

The matrices interpolate polynomials at m + 1 points and at infinity; all points are ± pairs but for 0, so that each
pair of rows shares its even and its odd part. For m = 4 the usual points 0, ±1, ±2 (or ±1, ±1/2) have twice the error
of 0, ±3/4, ±3/2, which are as exact in binary (see Barabasz et al., «Error analysis and improving the accuracy of
Winograd convolution», 2020, on the choice of points).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
from tvm import tirx
from tvm.ir import Expr
from tvm.tirx.script.builder import ir as T

_POINTS = {2: (Fraction(1),), 4: (Fraction(3, 4), Fraction(3, 2))}
"""The positive points by m."""

TAPS = 3
"""Side of the kernel."""


@dataclass(frozen=True, eq=False)
class Transforms:
    """The matrices of F(m×m, 3×3) in float64.

    Attributes:
        input: B^T [m + 2, m + 2], exact in float32.
        weight: G [m + 2, 3], exact in float32. Powers of the points only: it costs less where kernels apply it.
        output: A^T [m, m + 2], with all factors that are no powers of two.
    """

    input: np.ndarray
    weight: np.ndarray
    output: np.ndarray


@cache
def transforms(m: int) -> Transforms:
    """The matrices for `m`; rows 1 and 2, 3 and 4, … belong to the points p and -p, the last to infinity."""
    points = [Fraction(0), *(sign * point for point in _POINTS[m] for sign in (1, -1))]
    last = m + 1
    inputs, weights, outputs = np.zeros((m + 2, m + 2)), np.zeros((m + 2, TAPS)), np.zeros((m, m + 2))
    for row, point in enumerate(points):
        others = [other for other in points if other != point]
        coefficients = _polynomial(others)
        scale = sum(coefficient * point**power for power, coefficient in enumerate(coefficients))
        inputs[row, :last] = [float(coefficient) for coefficient in coefficients]
        weights[row] = [float(point**power) for power in range(TAPS)]
        outputs[:, row] = [float(point**power / scale) for power in range(m)]
    inputs[last] = [float(coefficient) for coefficient in _polynomial(points)]
    weights[last, -1] = outputs[-1, last] = 1
    return Transforms(inputs, weights, outputs)


def _polynomial(roots: Sequence[Fraction]) -> list[Fraction]:
    """Coefficients of the product of (x - root), lowest power first."""
    product = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *product]
        product = [power - root * same for power, same in zip(shifted, [*product, Fraction(0)], strict=True)]
    return product


def transformed(weight: np.ndarray, m: int) -> np.ndarray:
    """G g G^T of known weights [out, in, 3, 3] → [m + 2, m + 2, in, out], in float64."""
    matrix = transforms(m).weight
    return np.einsum("ia,nkab,jb->ijkn", matrix, weight.astype(float), matrix)


def transform_input(pixels: Sequence[Expr], m: int) -> list[Expr]:
    """B^T d B of the (m + 2)² vectors of a tile, row by row."""
    return _both_sides(transforms(m).input, pixels, analyse)


def transform_weight(taps: Sequence[Expr], m: int) -> list[Expr]:
    """G g G^T of the nine vectors of a kernel, row by row."""
    return _both_sides(transforms(m).weight, taps, analyse)


def transform_output(products: Sequence[Expr], m: int) -> list[Expr]:
    """A^T M A of (m + 2)² vectors: the m² outputs of a tile, row by row."""
    return _both_sides(transforms(m).output, products, synthesize)


def _both_sides(
    matrix: np.ndarray, values: Sequence[Expr], times: Callable[[np.ndarray, Sequence[Expr]], list[Expr]]
) -> list[Expr]:
    """Matrix · values · matrix^T of a square of vectors, row by row."""
    side = matrix.shape[1]
    columns = [times(matrix, values[column::side]) for column in range(side)]
    return [value for row in zip(*columns, strict=True) for value in times(matrix, row)]


def analyse(matrix: np.ndarray, values: Sequence[Expr]) -> list[Expr]:
    """`matrix` times `values`, where rows 1 and 2, 3 and 4, … differ in the signs of their odd columns."""
    results = [_dot(matrix[0], values)]
    for row in range(1, len(matrix) - 1, 2):
        even, odd = (_dot(matrix[row, parity::2], values[parity::2]) for parity in (0, 1))
        results += [T.bind(even + odd), T.bind(even - odd)]
    return [*results, _dot(matrix[-1], values)]


def synthesize(matrix: np.ndarray, values: Sequence[Expr]) -> list[Expr]:
    """`matrix` times `values`, where columns 1 and 2, 3 and 4, … differ in the signs of their odd rows."""
    middle = range(1, len(values) - 1, 2)
    sums = [T.bind(values[column] + values[column + 1]) for column in middle]
    differences = [T.bind(values[column] - values[column + 1]) for column in middle]
    results = []
    for row, factors in enumerate(matrix):
        pairs = differences if row % 2 else sums
        results.append(_dot([factors[0], *factors[1:-1:2], factors[-1]], [values[0], *pairs, values[-1]]))
    return results


def _dot(factors: Sequence[float] | np.ndarray, values: Sequence[Expr]) -> Expr:
    """The sum of factors × values, those with the factors 0 and 1 without a multiplication."""
    terms = sorted(zip(factors, values, strict=True), key=lambda term: abs(term[0]) != 1)
    total: Expr | None = None
    for factor, value in terms:
        if factor == 0:
            continue
        if total is None:
            total = value if factor == 1 else _times(factor, value)
        elif abs(factor) == 1:
            total = total + value if factor == 1 else total - value
        else:
            total = total + _times(factor, value)
    assert total is not None
    return T.bind(total)


def _times(factor: float, value: Expr) -> Expr:
    constant = tirx.const(float(factor), "float32")
    lanes = value.ty.dtype.lanes
    return (tirx.Broadcast(constant, lanes) if lanes > 1 else constant) * value
