"""Real visits: kernels are built, checked, measured in turns; and one that crashes does no harm."""

from __future__ import annotations

import pytest

from lascompile.latency import LatencyTable
from lascompile.measure import visitor as visitor_module
from lascompile.measure.groups import MOST_CELLS, make_groups
from lascompile.measure.measurer import Measurer
from lascompile.measure.rounds import Rhythm
from lascompile.measure.visitor import Visit, Visitor
from lascompile.records import Failure
from lascompile.target import parse_target
from lascompile.tune import problems
from lascompile.tune.builder import Builder
from lascompile.tune.fleet import Fleet
from tests.measure.stubs import cells


@pytest.fixture(scope="module")
def builder():
    made = Builder(parse_target("llvm"), processes=1)
    yield made
    made.close()


@pytest.fixture(scope="module")
def visitor():
    made = Visitor(timeout_s=60)
    yield made
    made.close()


def test_a_table_from_end_to_end(builder, visitor, tmp_path):
    table = LatencyTable(tmp_path)
    items = cells(tmp_path, target="llvm")
    progress = Measurer(make_groups(items), table, repeats=6).run(builder, visitor)
    assert progress.done == len(progress.rows) == len(items)
    assert table.missing(item.cell for item in items) == []
    assert all(row.latency.repeats >= 6 for row in progress.rows)


def test_a_library_that_cannot_be_loaded_fails_alone(builder, visitor, tmp_path):
    [item] = [item for item in cells(tmp_path, (0.5,), "llvm")][:1]
    [built] = builder.build([item.job])
    (tmp_path / "broken.so").write_text("no library")

    def visit(path):
        return Visit((item.job,), (path,), Rhythm(2, 3), (0, 1))

    (_, failed), (_, found) = visitor.visit([visit(tmp_path / "broken.so"), visit(built.library)])
    assert isinstance(failed, Failure) and failed.reason == "run" and "broken.so" in failed.error
    assert [len(runs) for runs in found] == [6]


def test_boards_have_as_long_for_a_visit(monkeypatch):
    given = []
    monkeypatch.setattr(visitor_module, "FleetRunner", lambda fleet, repeats: given.append(fleet))
    fleet = Fleet("127.0.0.1", 9190, "tx2", jobs=3)
    assert Visitor(fleet).width == 3
    Visitor(fleet, timeout_s=60)
    assert [one.config().session_timeout_sec for one in given] == [120, 60]
    assert {(one.host, one.port, one.key, one.jobs) for one in given} == {("127.0.0.1", 9190, "tx2", 3)}


def test_problems_of_a_group_are_made_once_for_all_passes():
    assert problems.make_problem.cache_parameters()["maxsize"] > MOST_CELLS
