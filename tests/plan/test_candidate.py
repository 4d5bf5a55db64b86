"""What the ways to compute one convolution cost, where some of them were measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lascompile.plan.candidate import Candidate, on_one_scale
from lascompile.plan.cost import PREDICTED, RECORD, TABLE, Cost
from lascompile.plan.measured import Measured, Scale
from lascompile.schedules.cpu.algorithms import BF16X3, DIRECT, WINOGRAD2, WINOGRAD4, Algorithm
from tests.records.samples import GATHER

SECONDS = {DIRECT: 10e-4, BF16X3: 5e-4, WINOGRAD2: 4e-4, WINOGRAD4: 2e-4}
ON_RECORD, TABULATED = Scale(RECORD, "A CPU", 0.5), Scale(TABLE, "A CPU", 0.5)


def predicted(seconds: float) -> Cost:
    return Cost(seconds, seconds / 2, seconds * 2, PREDICTED)


def measured(seconds: float, scale: Scale, row: Mapping[str, Any] | None = None) -> Measured:
    return Measured(Cost(seconds, seconds, seconds, scale.source), scale, row)


def costs(known: dict[Algorithm, Measured]) -> dict[Algorithm, tuple[float, str]]:
    candidates = [Candidate(algorithm, GATHER, None, predicted(seconds)) for algorithm, seconds in SECONDS.items()]
    each = [(known[algorithm],) if algorithm in known else () for algorithm in SECONDS]
    found = on_one_scale(candidates, each)
    return {candidate.algorithm: (candidate.cost.seconds, candidate.cost.source) for candidate in found}


def test_nothing_measured_leaves_predictions() -> None:
    assert costs({}) == {algorithm: (seconds, "predicted") for algorithm, seconds in SECONDS.items()}


def test_latencies_of_one_scale_are_compared_as_they_are() -> None:
    found = costs({algorithm: measured(2e-6 / seconds, ON_RECORD) for algorithm, seconds in SECONDS.items()})
    assert found == {algorithm: (2e-6 / seconds, "record") for algorithm, seconds in SECONDS.items()}


@pytest.mark.parametrize("latency_s", [1e-9, 1.0])
def test_one_latency_alone_does_not_change_the_order(latency_s: float) -> None:
    found = costs({BF16X3: measured(latency_s, ON_RECORD)})
    assert found[BF16X3] == (latency_s, "record")
    assert sorted(found, key=lambda algorithm: found[algorithm]) == sorted(SECONDS, key=lambda a: SECONDS[a])
    assert found[WINOGRAD4] == (pytest.approx(latency_s * 0.4), "scaled")


def test_what_was_not_measured_is_scaled_from_the_fastest_that_was() -> None:
    found = costs({DIRECT: measured(1e-3, ON_RECORD), BF16X3: measured(2e-3, ON_RECORD)})
    assert found[WINOGRAD2] == (pytest.approx(0.4e-3), "scaled")


@pytest.mark.parametrize(
    "other", [TABULATED, Scale(RECORD, "Another CPU", 0.5), Scale(RECORD, "A CPU", 0.25)], ids=str
)
def test_latencies_of_another_scale_do_not_count(other: Scale) -> None:
    known = {DIRECT: measured(1e-3, ON_RECORD), BF16X3: measured(2e-3, ON_RECORD)}
    found = costs(known | {WINOGRAD4: measured(1e-9, other)})
    assert found == costs(known)


def test_the_table_goes_first_of_scales_with_as_many_candidates() -> None:
    row = {"when": "2026-11-21"}
    candidates = [Candidate(algorithm, GATHER, None, predicted(SECONDS[algorithm])) for algorithm in (DIRECT, BF16X3)]
    items = [measured(1e-9, ON_RECORD), measured(2e-3, TABULATED, row)]
    direct, tiles = on_one_scale(candidates, [(item,) for item in items])
    assert (tiles.cost.seconds, tiles.cost.source, tiles.row) == (2e-3, "table", row)
    assert (direct.cost.seconds, direct.cost.source, direct.row) == (4e-3, "scaled", None)


def sources(granularity: tuple[int, int] | None, rows: dict[Algorithm, list[int]]) -> dict[str, str]:
    """Where the costs come from, if there are rows of each algorithm under patches of such sides.

    Of a wider patch it is the other order in which algorithms are fast.
    """
    candidates = [Candidate(algorithm, GATHER, None, predicted(seconds)) for algorithm, seconds in SECONDS.items()]
    rows_of = [
        [
            measured((1e-3 + 1e-6 * place) * size, Scale(TABLE, "A CPU", 0.5, (size, size)), {"granularity": size})
            for size in rows.get(algorithm, [])
        ]
        for place, algorithm in enumerate(SECONDS)
    ]
    found = on_one_scale(candidates, rows_of, granularity)
    return {item.algorithm.name: str(item.row["granularity"]) if item.row else item.cost.source for item in found}


EVERYWHERE: dict[Algorithm, list[int]] = {algorithm: [4, 2] for algorithm in SECONDS}
SCALED = dict.fromkeys((algorithm.name for algorithm in SECONDS), "scaled")


@pytest.mark.parametrize(
    ("own", "rows", "found"),
    [
        (4, EVERYWHERE, dict.fromkeys(SCALED, "4")),
        (2, EVERYWHERE, dict.fromkeys(SCALED, "2")),
        # One of its own goes before many of others.
        (2, {algorithm: [4] for algorithm in SECONDS} | {DIRECT: [4, 2]}, SCALED | {"direct": "2"}),
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
    three = (DIRECT, BF16X3, WINOGRAD2)
    candidates = [Candidate(algorithm, GATHER, None, predicted(SECONDS[algorithm])) for algorithm in three]
    rows = [measured(1e-3, Scale(TABLE, "A CPU", 0.5, (size, size))) for size in (4, 2)]
    found = on_one_scale(candidates, [rows, [measured(3e-3, ON_RECORD)], [measured(2e-3, ON_RECORD)]], (4, 4))
    told = [(item.cost.source, item.cost.seconds) for item in found]
    assert told == [("scaled", pytest.approx(5e-3)), ("record", 3e-3), ("record", 2e-3)]
