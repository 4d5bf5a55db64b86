"""What the ways to compute one convolution cost, where some of them were measured."""

from __future__ import annotations

import pytest

from lascompile.plan.algorithms import BF16X3, DIRECT, WINOGRAD2, WINOGRAD4, Algorithm
from lascompile.plan.candidate import Candidate, on_one_scale
from lascompile.plan.measured import RECORD, TABLE, Measured, Scale
from tests.records.samples import GATHER

CYCLES = {DIRECT: 1000.0, BF16X3: 500.0, WINOGRAD2: 400.0, WINOGRAD4: 200.0}
ON_RECORD, TABULATED = Scale(RECORD, "A CPU", 0.5), Scale(TABLE, "A CPU", 0.5)


def costs(measured: dict[Algorithm, Measured]) -> dict[Algorithm, tuple[float, str]]:
    candidates = [Candidate(algorithm, GATHER, None, cycles) for algorithm, cycles in CYCLES.items()]
    found = on_one_scale(candidates, [measured.get(algorithm) for algorithm in CYCLES])
    return {candidate.algorithm: (candidate.cost, candidate.source) for candidate in found}


def test_nothing_measured_leaves_cycles() -> None:
    assert costs({}) == {algorithm: (cycles, "predicted") for algorithm, cycles in CYCLES.items()}


def test_latencies_of_one_scale_are_compared_as_they_are() -> None:
    found = costs({algorithm: Measured(2e-6 / cycles, ON_RECORD) for algorithm, cycles in CYCLES.items()})
    assert found == {algorithm: (2e-6 / cycles, "record") for algorithm, cycles in CYCLES.items()}


@pytest.mark.parametrize("latency_s", [1e-9, 1.0])
def test_one_latency_alone_does_not_change_the_order(latency_s: float) -> None:
    found = costs({BF16X3: Measured(latency_s, ON_RECORD)})
    assert found[BF16X3] == (latency_s, "record")
    assert sorted(found, key=lambda algorithm: found[algorithm]) == sorted(CYCLES, key=lambda a: CYCLES[a])
    assert found[WINOGRAD4] == (pytest.approx(latency_s * 0.4), "scaled")


def test_what_was_not_measured_is_scaled_from_the_fastest_that_was() -> None:
    found = costs({DIRECT: Measured(1e-3, ON_RECORD), BF16X3: Measured(2e-3, ON_RECORD)})
    assert found[WINOGRAD2] == (pytest.approx(0.4e-3), "scaled")


@pytest.mark.parametrize(
    "other", [TABULATED, Scale(RECORD, "Another CPU", 0.5), Scale(RECORD, "A CPU", 0.25)], ids=str
)
def test_latencies_of_another_scale_do_not_count(other: Scale) -> None:
    measured = {DIRECT: Measured(1e-3, ON_RECORD), BF16X3: Measured(2e-3, ON_RECORD)}
    found = costs(measured | {WINOGRAD4: Measured(1e-9, other)})
    assert found == costs(measured)


def test_the_table_goes_first_of_scales_with_as_many_candidates() -> None:
    row = {"when": "2026-11-21"}
    candidates = [Candidate(algorithm, GATHER, None, CYCLES[algorithm]) for algorithm in (DIRECT, BF16X3)]
    measured = [Measured(1e-9, ON_RECORD), Measured(2e-3, TABULATED, row)]
    direct, tiles = on_one_scale(candidates, measured)
    assert (tiles.cost, tiles.source, tiles.row) == (2e-3, "table", row)
    assert (direct.cost, direct.source, direct.row) == (4e-3, "scaled", None)
