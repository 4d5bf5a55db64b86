"""Real visits: kernels are built, checked, measured in turns; and one that crashes does no harm."""

from __future__ import annotations

import pytest

from lascompile.latency import LatencyTable
from lascompile.measure.groups import make_groups
from lascompile.measure.measurer import Measurer
from lascompile.measure.rounds import Rhythm
from lascompile.measure.visitor import Visit, Visitor
from lascompile.records import Failure
from lascompile.target import parse_target
from lascompile.tune.builder import Builder
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
