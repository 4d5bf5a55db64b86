"""float32 as the sum of two bfloat16."""

from __future__ import annotations

import numpy as np
import pytest

from lascompile.schedules.cpu.bfloat16 import split


def parts(values: list[float] | np.ndarray) -> np.ndarray:
    """[2, ...] float64: the numbers that the halves stand for."""
    bits = split(np.asarray(values, np.float32))
    assert bits.dtype == np.uint16
    return (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def test_each_half_is_rounded_to_nearest_and_ties_go_to_even() -> None:
    # A bfloat16 has eight bits: 1 + 2^-8 is a tie between 1 and 1 + 2^-7, and 1 + 3 x 2^-8 one between odd and even.
    given = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8, 1 + 2.0**-8 + 2.0**-20, -(1 + 2.0**-8)])
    high, low = parts(given)
    np.testing.assert_array_equal(high, [1, 1 + 2.0**-6, 1 + 2.0**-7, -1])
    np.testing.assert_allclose(low, given - high, rtol=2.0**-8)


def test_what_is_left_is_below_two_to_the_minus_16() -> None:
    rng = np.random.default_rng(0)
    given = (rng.standard_normal(100_000) * 10.0 ** rng.uniform(-30, 30, 100_000)).astype(np.float32)
    high, low = parts(given)
    assert (np.abs(high + low - given) <= 2.0**-16 * np.abs(given)).all()
    assert (np.abs(low) <= 2.0**-8 * np.abs(given)).all()


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -3.0, 2.0**-100, 65280.0])
def test_a_bfloat16_has_no_low_half(value: float) -> None:
    assert parts([value]).tolist() == [[value], [0.0]]


def test_nan_stays_nan() -> None:
    assert np.isnan(parts([np.nan]).sum())
