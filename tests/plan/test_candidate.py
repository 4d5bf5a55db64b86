"""What the ways to compute one convolution cost, where some of them were measured."""

from __future__ import annotations

import pytest

from lascompile.plan.candidate import Candidate, on_one_scale
from lascompile.plan.measured import RECORD, TABLE, Measured, Scale
from lascompile.schedules.cpu.algorithms import BF16X3, DIRECT, WINOGRAD2, WINOGRAD4, Algorithm
from tests.records.samples import GATHER

CYCLES = {DIRECT: 1000.0, BF16X3: 500.0, WINOGRAD2: 400.0, WINOGRAD4: 200.0}
ON_RECORD, TABULATED = Scale(RECORD, "A CPU", 0.5), Scale(TABLE, "A CPU", 0.5)


def costs(measured: dict[Algorithm, Measured]) -> dict[Algorithm, tuple[float, str]]:
    candidates = [Candidate(algorithm, GATHER, None, cycles) for algorithm, cycles in CYCLES.items()]
    each = [(measured[algorithm],) if algorithm in measured else () for algorithm in CYCLES]
    found = on_one_scale(candidates, each)
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
    direct, tiles = on_one_scale(candidates, [(item,) for item in measured])
    assert (tiles.cost, tiles.source, tiles.row) == (2e-3, "table", row)
    assert (direct.cost, direct.source, direct.row) == (4e-3, "scaled", None)


def sources(granularity: tuple[int, int] | None, rows: dict[Algorithm, list[int]]) -> dict[str, str]:
    """Where the costs come from, if there are rows of each algorithm under patches of such sides.

    Of a wider patch it is the other order in which algorithms are fast.
    """
    candidates = [Candidate(algorithm, GATHER, None, cycles) for algorithm, cycles in CYCLES.items()]
    measured = [
        [
            Measured((1e-3 + 1e-6 * place) * size, Scale(TABLE, "A CPU", 0.5, (size, size)), {"granularity": size})
            for size in rows.get(algorithm, [])
        ]
        for place, algorithm in enumerate(CYCLES)
    ]
    found = on_one_scale(candidates, measured, granularity)
    return {item.algorithm.name: str(item.row["granularity"]) if item.row else item.source for item in found}


EVERYWHERE: dict[Algorithm, list[int]] = {algorithm: [4, 2] for algorithm in CYCLES}
SCALED = dict.fromkeys((algorithm.name for algorithm in CYCLES), "scaled")


@pytest.mark.parametrize(
    ("own", "rows", "found"),
    [
        (4, EVERYWHERE, dict.fromkeys(SCALED, "4")),
        (2, EVERYWHERE, dict.fromkeys(SCALED, "2")),
        # One of its own goes before many of others.
        (2, {algorithm: [4] for algorithm in CYCLES} | {DIRECT: [4, 2]}, SCALED | {"direct": "2"}),
        # Without any, the one with the most; of equals the finest.
        (1, {DIRECT: [2], BF16X3: [4], WINOGRAD4: [4]}, SCALED | {"bf16x3": "4", "winograd4": "4"}),
        (1, EVERYWHERE, dict.fromkeys(SCALED, "2")),
        (None, EVERYWHERE, dict.fromkeys(SCALED, "2")),
    ],
)
def test_only_rows_of_one_granularity_are_compared(
    own: int | None, rows: dict[Algorithm, list[int]], found: dict[str, str]
) -> None:
    assert sources(None if own is None else (own, own), rows) == found


def test_records_count_beside_rows_of_the_own_granularity() -> None:
    candidates = [Candidate(algorithm, GATHER, None, CYCLES[algorithm]) for algorithm in (DIRECT, BF16X3, WINOGRAD2)]
    rows = [Measured(1e-3, Scale(TABLE, "A CPU", 0.5, (size, size))) for size in (4, 2)]
    found = on_one_scale(candidates, [rows, [Measured(3e-3, ON_RECORD)], [Measured(2e-3, ON_RECORD)]], (4, 4))
    assert [(item.source, item.cost) for item in found] == [("scaled", 5e-3), ("record", 3e-3), ("record", 2e-3)]
