"""Winograd's matrices: that they compute a convolution, exactly representable, and with how large an error."""

from __future__ import annotations

import numpy as np
import pytest

from lascompile.kernels.winograd_transforms import transformed, transforms


def convolved(tile: np.ndarray, weight: np.ndarray) -> np.ndarray:
    m = tile.shape[0] - 2
    return np.array([[(tile[y : y + 3, x : x + 3] * weight).sum() for x in range(m)] for y in range(m)])


@pytest.mark.parametrize("m", [2, 4])
def test_the_transforms_are_a_convolution(m: int) -> None:
    rng = np.random.default_rng(0)
    tile, weight = rng.standard_normal((m + 2, m + 2)), rng.standard_normal((3, 3))
    matrices = transforms(m)
    products = transformed(weight[None, None], m)[..., 0, 0] * (matrices.input @ tile @ matrices.input.T)
    np.testing.assert_allclose(matrices.output @ products @ matrices.output.T, convolved(tile, weight), atol=1e-13)


@pytest.mark.parametrize("m", [2, 4])
def test_constants_are_exact_in_float32(m: int) -> None:
    for matrix in (transforms(m).input, transforms(m).weight):
        assert (matrix.astype(np.float32) == matrix).all()


@pytest.mark.parametrize("m", [2, 4])
def test_pairs_of_points_differ_in_signs(m: int) -> None:
    """The arithmetic on vectors shares even and odd parts, and relies on it."""
    matrices, signs = transforms(m), (-1.0) ** np.arange(m + 2)
    for row in range(1, m + 1, 2):
        assert (matrices.input[row] == signs * matrices.input[row + 1]).all()
        assert (matrices.weight[row] == signs[:3] * matrices.weight[row + 1]).all()
        assert (matrices.output[:, row] == signs[:m] * matrices.output[:, row + 1]).all()


def test_each_weight_is_transformed_by_itself() -> None:
    weight = np.random.default_rng(0).standard_normal((3, 5, 3, 3))
    together = transformed(weight, 4)
    assert together.shape == (6, 6, 5, 3)
    np.testing.assert_array_equal(together[:, :, 4:5, 2:3], transformed(weight[2:3, 4:5], 4))
