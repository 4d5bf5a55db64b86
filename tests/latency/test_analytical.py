"""Each term by hand, with its unit."""

from dataclasses import replace

import pytest

from lascompile.latency.analytical import Rates, terms
from lascompile.machine import DEVICES
from lascompile.schedules.work import Work

NOTHING = Work(engines=1, fmas=0, loads=0, stalls=0, tiles=0)
RATES = Rates(
    launch_s=1e-6, fma_s=1e-9, load_s=0.5e-9, stall_s=1e-9, spill_s=2e-9, tile_s=4e-9, transform_s=10e-9,
    unit_fma_s=1e-12, weight_bytes_per_s=20e9, reread_bytes_per_s=80e9, read_bytes_per_s=100e9,
    write_bytes_per_s=10e9, overlap=2,
)  # fmt: skip


@pytest.mark.parametrize(
    ("work", "latency_s"),
    [
        ({}, 1e-6),
        ({"fmas": 1000, "loads": 1000}, 2e-6),  # loads go on beside the multiply-adds
        ({"fmas": 1000, "loads": 4000}, 3e-6),  # and take longer where there are enough of them
        ({"stalls": 1000}, 2e-6),
        ({"spills": 1000}, 3e-6),
        ({"tiles": 1000}, 5e-6),
        ({"transforms": 1000}, 11e-6),
        ({"unit_fmas": 1e6}, 2e-6),
        ({"weight_bytes": 20_000}, 2e-6),
        ({"reread_bytes": 80_000}, 2e-6),
        ({"read_bytes": 100_000}, 2e-6),
        ({"written_bytes": 10_000}, 2e-6),
        ({"fmas": 3000, "weight_bytes": 80_000}, 6e-6),  # 3 and 4 µs overlap to 5
    ],
)
def test_a_term_is_its_count_times_its_rate(work: dict[str, float], latency_s: float) -> None:
    assert terms(replace(NOTHING, **work), RATES).latency_s == pytest.approx(latency_s)  # type: ignore[arg-type]


def test_the_exponent_says_how_far_memory_hides_behind_arithmetic() -> None:
    work = replace(NOTHING, fmas=3000, weight_bytes=80_000)
    in_turn = terms(work, replace(RATES, overlap=1)).latency_s
    hidden = terms(work, replace(RATES, overlap=1000)).latency_s
    assert in_turn == pytest.approx(8e-6)
    assert hidden == pytest.approx(5e-6)


def test_parts_of_a_latency() -> None:
    parts = terms(replace(NOTHING, fmas=1000, tiles=10, weight_bytes=20_000, written_bytes=10_000), RATES)
    assert parts.multiply_s == pytest.approx(1e-6)
    assert parts.other_arithmetic_s == pytest.approx(40e-9)
    assert parts.weights_s == pytest.approx(1e-6)
    assert parts.other_memory_s == pytest.approx(1e-6)


def test_rates_of_a_data_sheet() -> None:
    rates = Rates.of(DEVICES["zen4"], 2)
    assert rates.fma_s == pytest.approx(1 / 3.65e9)  # one 512-bit multiply-add a cycle
    assert rates.weight_bytes_per_s == pytest.approx(20e9)  # 40 GB/s for two cores
    assert Rates.of(DEVICES["zen4"], 1).weight_bytes_per_s == pytest.approx(24e9)  # what one core alone can draw
    assert Rates.of(DEVICES["emerald-rapids"], 2).fma_s == pytest.approx(0.5 / 3.2e9)
