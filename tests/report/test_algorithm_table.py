"""Algorithms and their candidates, for a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lascompile.manifest import StepSpec
from lascompile.report.algorithm_table import algorithm_table, record_lines


def step(node: str, block: str = "", costs: tuple[tuple[str, float, str], ...] = ()) -> StepSpec:
    candidates = [{"algorithm": name, "cost": cost, "source": source} for name, cost, source in costs]
    return StepSpec(
        "conv1x1", node, block, "conv", True, algorithm=costs[0][0] if costs else None, candidates=candidates
    )


def rows(*steps: StepSpec) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=100).print(algorithm_table(steps))
    return [" ".join(line.split()) for line in out.getvalue().splitlines()[2:]]


def test_a_row_for_each_convolution() -> None:
    predicted = (("tiles", 8.104e-6, "predicted"), ("direct", 1.234567, "predicted"))
    shown = rows(step("stem", costs=predicted), step("pool"), step("conv1", "layer1.0", predicted))
    candidates = "tiles 8.1 µs, direct 1.23e+03 ms (predicted)"
    assert shown == [f"- stem tiles {candidates}", f"layer1.0 conv1 tiles {candidates}"]


@pytest.mark.parametrize(
    ("sources", "values", "says"),
    [
        (("predicted", "predicted", "predicted"), (2.5e-6, 1.2e-4, 4e-3), "a 2.5 µs, b 120 µs, c 4 ms (predicted)"),
        (("record", "record", "scaled"), (2.5e-6, 1.2345e-3, 2.0), "a 2.5 µs, b 1.23 ms (record), c 2e+03 ms (scaled)"),
        (("scaled", "table", "scaled"), (1e-4, 2e-4, 3e-4), "a 100 µs (scaled), b 200 µs (table), c 300 µs (scaled)"),
    ],
)
def test_the_source_of_each_cost(sources: tuple[str, ...], values: tuple[float, ...], says: str) -> None:
    costs = tuple(zip("abc", values, sources, strict=True))
    assert rows(step("conv", costs=costs)) == [f"- conv a {says}"]


def test_the_record_of_each_convolution() -> None:
    told = {
        "record": "0123456789ab",
        "from": "lascompile",
        "device": "A CPU",
        "activation_rate": 0.5,
        "latency_s": 4.1e-5,
        "when": "2026-11-21T04:14:00.123456+00:00",
        "versions": {"lascompile": "0.1.0", "tvm": "0.27.0", "llvm": "21"},
    }
    candidates = [
        {"algorithm": "tiles", "cost": 4.1e-5, "source": "record", "record": told},
        {"algorithm": "direct", "cost": 5e-5, "source": "record", "record": told | {"record": "not used"}},
    ]
    tuned = StepSpec("conv1x1", "conv", "", "conv", True, algorithm="tiles", candidates=candidates)
    steps = (tuned, step("stem", costs=(("tiles", 8.1e-4, "predicted"),)), tuned)
    row = "- conv tiles tiles 41 µs, direct 50 µs (record) 0123456789ab"
    assert rows(*steps) == [row, "- stem tiles tiles 810 µs (predicted) -", row]
    assert list(record_lines(steps)) == [
        "record 0123456789ab: 41 µs at activation rate 0.5 on A CPU, 2026-11-21T04:14:00.123456+00:00, "
        "lascompile 0.1.0, tvm 0.27.0, llvm 21; comes with lascompile"
    ]
