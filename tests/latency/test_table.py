from __future__ import annotations

import logging
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lascompile.errors import UsageError
from lascompile.journal import Merged
from lascompile.latency import LatencyTable, Row, open_table
from lascompile.records import user_folder
from tests.latency.samples import CELL, row
from tests.records.samples import DENSE, GATHER, TASK, VERSIONS

FILE = "a-cpu/tvm-0.27.0.post1/latency.jsonl"


@pytest.fixture
def table(tmp_path):
    return LatencyTable(tmp_path / "records")


def median_s(table, rate=0.5, **changes):
    estimate = table.latency(replace(TASK, activation_rate=rate), "direct", "d1", **changes)
    return None if estimate is None else estimate.median_s


@pytest.mark.parametrize("item", [row(), row(granularity=None, stage=None, batch=8), row(workload=DENSE, rate=1.0)])
def test_a_row_comes_back(table, item):
    table.append(item)
    assert [found.value for found in LatencyTable(table.folder).rows()] == [item]
    assert (table.folder / FILE).exists()


def test_an_empty_table_knows_nothing(table):
    assert (list(table.rows()), table.damaged(), table.unreadable(), table.quarantined()) == ([], [], [], 0)
    assert median_s(table) is None
    assert table.missing([CELL]) == [CELL]


def test_latencies_are_interpolated_between_measured_rates(table):
    table.append(row(1e-3, 0.2), row(3e-3, 0.6), row(5e-3, 1.0))
    assert median_s(table, 0.3) == pytest.approx(1.5e-3)
    assert median_s(table, 0.6) == 3e-3
    assert median_s(table, 0.8) == pytest.approx(4e-3)
    estimate = table.latency(replace(TASK, activation_rate=0.3), "direct", "d1")
    assert (estimate.p10_s, estimate.p90_s) == (pytest.approx(1.35e-3), pytest.approx(1.8e-3))
    assert [item.cell.task.activation_rate for item in estimate.rows] == [0.2, 0.6]
    assert estimate.is_interpolated
    assert not table.latency(replace(TASK, activation_rate=0.6), "direct", "d1").is_interpolated


def test_nothing_is_known_beyond_what_was_measured(table):
    table.append(row(1e-3, 0.2), row(3e-3, 0.6))
    assert median_s(table, 0.1) is None
    assert median_s(table, 0.7) is None
    assert median_s(table, 0.2 - 1e-9) == 1e-3  # the same, but for rounding


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(1e-6, 1)), min_size=1, max_size=6, unique_by=lambda x: x[0]),
    st.floats(0, 1),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_an_estimate_lies_between_its_neighbours(tmp_path_factory, points, rate):
    table = LatencyTable(tmp_path_factory.mktemp("records"))
    table.append(*(row(latency, measured) for measured, latency in points))
    found = table.latency(replace(TASK, activation_rate=rate), "direct", "d1")
    rates = [measured for measured, _ in points]
    if not min(rates) - 1e-6 <= rate <= max(rates) + 1e-6:
        assert found is None
    if found is not None:
        medians = [item.latency.median_s for item in found.rows]
        assert min(medians) * (1 - 1e-9) <= found.median_s <= max(medians) * (1 + 1e-9)
        assert found.p10_s <= found.median_s <= found.p90_s


def test_the_last_measurement_counts(table):
    table.append(row(2e-3, when="2026-01-02"), row(1e-3, when="2026-01-01"))
    assert median_s(table) == 2e-3


def test_the_rate_does_not_matter_to_a_kernel_that_is_not_dynamic(table):
    table.append(row(2e-3, 1.0, workload=DENSE))
    estimate = table.latency(replace(TASK, workload=DENSE, activation_rate=0.1), "direct", "d1")
    assert (estimate.median_s, estimate.is_interpolated) == (2e-3, False)


@pytest.mark.parametrize(
    "change",
    [
        {"workload": replace(GATHER, rows=784)},
        {"threads": 4},
        {"target": replace(TASK.target, mcpu="znver4")},
        {"algorithm": "winograd"},
        {"definition": "d0"},
        {"versions": replace(VERSIONS, tvm="0.28.0")},
    ],
)
def test_what_must_be_equal(table, change):
    table.append(row(**change))
    assert median_s(table) is None


def test_decisions_and_granularity_can_be_asked_for(table):
    table.append(row(1e-3, when="1"), row(2e-3, decisions={"tile": 4}, when="2"), row(3e-3, granularity=(2, 2)))
    assert median_s(table) == 3e-3
    assert median_s(table, granularity=(4, 4)) == 2e-3
    assert median_s(table, granularity=(4, 4), decisions={"inside": False, "tile": 8}) == 1e-3
    assert median_s(table, granularity=(1, 1)) is None


def test_granularities_are_read_for_themselves(table):
    """Not one rate of this and one of that."""
    table.append(row(1e-3, 0.25, granularity=(4, 4)), row(3e-3, 0.75, granularity=(4, 4)))
    table.append(row(9e-3, 0.5, granularity=(2, 2)), row(8e-3, 0.25, granularity=(1, 1)), row(7e-3, granularity=None))
    table.append(row(1e-9, device="another", granularity=(4, 4)), row(1e-9, device="another", granularity=(8, 8)))
    found = table.latency_by_granularity(TASK, "direct", "d1", decisions=CELL.decisions)
    assert {size: estimate.median_s for size, estimate in found.items()} == {
        (4, 4): pytest.approx(2e-3),
        (2, 2): 9e-3,
        None: 7e-3,
    }
    assert table.latency_by_granularity(TASK, "direct", "d1", decisions={"tile": 4}) == {}


def test_the_own_device_comes_first(table):
    table.append(row(1e-3, device="another"))
    assert median_s(table) == 1e-3
    table.append(row(2e-3, 0.4), row(2e-3, 0.6))
    assert median_s(table) == 2e-3


def test_an_interrupted_run_goes_on_where_it_was(table):
    cells = [row(rate=rate).cell for rate in (0.1, 0.5, 1.0)]
    assert table.missing(cells) == cells
    table.append(replace(row(), cell=cells[1]))
    table.append(replace(row(), cell=cells[0], versions=replace(VERSIONS, tvm="0.26.0")))
    fresh = LatencyTable(table.folder)
    assert fresh.missing(cells) == [cells[0], cells[2]]
    assert [found.cell for found in fresh.current()] == [cells[1]]


def test_what_is_shipped_serves_but_counts_as_not_measured(tmp_path):
    LatencyTable(tmp_path / "shipped").append(row(1e-3))
    table = LatencyTable(tmp_path / "own", tmp_path / "shipped")
    assert median_s(table) == 1e-3
    assert table.missing([CELL]) == [CELL]


def test_merging_is_idempotent(tmp_path):
    one, other = LatencyTable(tmp_path / "one"), LatencyTable(tmp_path / "other")
    common = row()
    one.append(common)
    other.append(common, row(rate=0.7), row(device="Jetson TX2"))
    assert one.merge(other.folder) == Merged(2, 1)
    assert one.merge(other.folder) == Merged(0, 3)


def test_damaged_and_newer_lines_are_left_out(table, caplog):
    caplog.set_level(logging.WARNING, "lascompile")
    table.append(row(1e-3), row(2e-3, 0.6))
    table._own.journal("A CPU", "0.27.0.post1").append({**row().to_json(), "schema": 9})
    path = table.folder / FILE
    path.write_bytes(path.read_bytes().replace(b'"median_s":0.001', b'"median_s":0.002', 1))
    fresh = LatencyTable(table.folder)
    assert len(list(fresh.rows())) == 1
    assert [entry.getMessage() for entry in caplog.records] == [
        f"{path}, line 1 is damaged and left out: its checksum does not match",
        f"{path}, line 3: left out, since a newer lascompile wrote it (schema 9, this one reads up to 1)",
    ]
    assert (len(fresh.damaged()), len(fresh.unreadable())) == (1, 1)
    fresh.append(row(1e-3))
    assert (len(fresh.damaged()), fresh.quarantined()) == (0, 1)


def test_fields_of_a_later_version_are_left_out():
    stored = row(when="x").to_json()
    assert Row.from_json({**stored, "temperature": 40, "cell": {**stored["cell"], "note": 1}}) == row(when="x")


def test_a_table_is_opened_where_the_records_are(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert open_table().folder == user_folder()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UsageError, match="is a file, but records are kept in a folder"):
        open_table(file)
