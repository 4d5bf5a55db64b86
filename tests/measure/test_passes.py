"""What counts of several passes."""

from __future__ import annotations

import pytest

from lascompile.measure.passes import MOST_PASSES, is_settled, latency_of


def passes(*medians):
    return [[0.9 * one, one, 1.2 * one] for one in medians]


@pytest.mark.parametrize(
    ("medians", "settled"),
    [
        ((), False),
        ((1.0, 1.0), False),
        ((1.0, 1.03, 0.99), True),
        ((1.0, 1.5, 1.0), False),
        ((1.0, 1.5, 1.0, 1.01), True),
        # All before were disturbed, and the last one tells.
        ((1.0, 1.0, 0.5), False),
        (tuple(2.0**-i for i in range(MOST_PASSES)), True),
    ],
)
def test_passes_are_made_until_some_agree_with_the_fastest(medians, settled):
    assert is_settled(passes(*medians)) is settled


def test_a_disturbed_pass_does_not_count():
    assert latency_of(passes(1.0, 3.0, 1.02, 1.01)) == latency_of(passes(1.0, 1.01, 1.02))
    assert latency_of(passes(1.0, 3.0, 1.02, 1.01)).repeats == 9


def test_where_none_agree_the_fastest_three_count():
    assert latency_of(passes(1.0, 2.0, 4.0, 8.0)) == latency_of(passes(1.0, 2.0, 4.0))
    assert latency_of(passes(1.0)).repeats == 3
