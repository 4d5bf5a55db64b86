"""The loop: what is in the table when it ends, is stopped, or a kernel fails."""

from __future__ import annotations

import pytest

from lascompile.latency import LatencyTable
from lascompile.measure.again import choose_again, compare
from lascompile.measure.groups import make_groups
from lascompile.measure.measurer import Measurer
from lascompile.report.measuring_table import again_line, measuring_summary
from tests.measure.stubs import RATES, StubVisitor, cells
from tests.tune.tiny import DENSE, PACKED, SCATTER, StubBuilder

SIZE = 2


@pytest.fixture
def table(tmp_path):
    return LatencyTable(tmp_path)


def rows(table):
    return [item.value for item in table.rows()]


def measure(table, visitor=None, builder=None, items=None, **given):
    items = cells(table.folder) if items is None else items
    missing = {cell.identity for cell in table.missing(item.cell for item in items)}
    due = [item for item in items if item.cell.identity in missing]
    return Measurer(make_groups(due, SIZE), table, **given).run(builder or StubBuilder(), visitor or StubVisitor())


def test_every_cell_once_with_its_place_and_its_decisions(table):
    progress = measure(table)
    found = rows(table)
    assert len(found) == progress.cells == 2 * len(RATES) + 1 and not progress.failed
    dense = [row.cell for row in found if row.cell.task.workload == DENSE]
    assert [(cell.task.activation_rate, cell.granularity, cell.stage) for cell in dense] == [(1.0, None, (32, 6, 6))]
    packed = [row for row in found if row.cell.task.workload == PACKED]
    assert [row.cell.task.activation_rate for row in packed] == list(RATES)
    assert [row.latency.median_s for row in packed] == [1e-3 * rate for rate in RATES]
    assert {row.cell.granularity for row in packed} == {(1, 1)}
    assert [row.count for row in packed] == [9, 18, 36]
    assert [row.count for row in found if row.cell.task.workload == DENSE] == [None]
    assert all(row.latency.repeats == 90 for row in found)


def test_a_library_is_built_and_checked_once_a_group_and_visited_in_three_passes(table):
    visitor = StubVisitor()
    measure(table, visitor, items=cells(table.folder)[:2])
    assert len(visitor.checked) == 1
    assert [visit.seed for visit in visitor.visits] == [(0, 1), (0, 2), (0, 3)]
    assert all(len(visit.jobs) == 2 and len(set(visit.libraries)) == 1 for visit in visitor.visits)


def test_passes_that_disagree_are_made_again_and_the_disturbed_ones_left_out(table):
    visitor = StubVisitor(lambda job, number: 1e-3 * job.rate * (3.0 if number == 2 and job.rate == 0.5 else 1.0))
    measure(table, visitor, items=cells(table.folder)[:2])
    assert [len(visit.jobs) for visit in visitor.visits] == [2, 2, 2, 1]
    assert [row.latency.p90_s for row in rows(table)] == [0.25e-3, 0.5e-3]


def test_a_run_that_is_stopped_gives_up_the_group(table):
    visits = []
    stopped = StubVisitor(after=lambda: visits.append(1))
    measurer = Measurer(make_groups(cells(table.folder), SIZE), table)
    measurer.run(StubBuilder(), stopped, is_stopped=lambda: len(visits) >= 4)  # in the second group
    assert len(rows(table)) == SIZE


def test_a_run_that_is_killed_keeps_what_is_finished_and_goes_on_from_there(table):
    visits = iter(range(1000))

    def stop():
        if next(visits) == 4:  # in the second group
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(table, StubVisitor(after=stop))
    before = rows(table)
    assert len(before) == SIZE
    progress = measure(table)
    assert progress.cells == 7 - SIZE
    assert rows(table)[:SIZE] == before and len({row.cell.identity for row in rows(table)}) == 7
    assert measure(table).cells == 0


def test_a_wrong_kernel_is_reported_and_never_tabulated(table):
    progress = measure(table, StubVisitor(wrong=lambda job: job.workload == SCATTER))
    assert {row.cell.task.workload for row in rows(table)} == {PACKED, DENSE}
    assert [item.job.workload for item, _ in progress.failed] == [SCATTER] * 3
    summary = measuring_summary(progress)
    assert summary[0].endswith("3 failed (3 wrong)")
    assert summary[1].startswith("not measured: masked_conv1x1_scatter_add 16→32 ×36 direct S=1 r=0.25: wrong: largest")


def test_a_kernel_that_cannot_be_built_fails_for_all_its_cells(table):
    progress = measure(table, builder=StubBuilder(fails=lambda decisions: True))
    assert rows(table) == [] and len(progress.failed) == 7
    assert {failure.reason for _, failure in progress.failed} == {"build"}


def test_a_kernel_that_crashes_takes_no_other_with_it(table):
    items = cells(table.folder)[:2]
    visitor = StubVisitor(crashes=lambda job: job.rate == 0.5)
    progress = measure(table, visitor, items=items)
    assert [row.cell for row in rows(table)] == [items[0].cell]
    assert [(item.cell, failure.reason) for item, failure in progress.failed] == [(items[1].cell, "run")]
    assert [len(visit.jobs) for visit in visitor.visits] == [2, 1, 1, 1, 1]


def test_a_group_that_fails_as_a_whole_is_never_joined_again(table):
    class Crowded(StubVisitor):
        """Whose visits end only if a cell is alone."""

        def visit(self, visits):
            self.crashes = lambda job: any(len(visit.jobs) > 1 for visit in visits)
            return super().visit(visits)

    visitor = Crowded()
    progress = measure(table, visitor, items=cells(table.folder)[:2])
    assert len(rows(table)) == 2 and not progress.failed
    assert [len(visit.jobs) for visit in visitor.visits] == [2] + [1] * 6
    assert [visit.seed[1] for visit in visitor.visits] == [1, 1, 1, 2, 2, 3, 3]


def test_one_may_stop_between_visits_of_single_cells(table):
    items = cells(table.folder)
    visits = []
    visitor = StubVisitor(crashes=lambda job: job.rate == 1.0, after=lambda: visits.append(1))
    measurer = Measurer([items], table)
    measurer.run(StubBuilder(), visitor, is_stopped=lambda: len(visits) >= 3)
    assert [len(visit.jobs) for visit in visitor.visits] == [7, 1, 1] and rows(table) == []


@pytest.mark.parametrize(("good", "has_row"), [(2, False), (3, True), (4, True)])
def test_a_cell_fails_only_where_its_good_passes_are_too_few(table, good, has_row):
    """Its passes never agree, so that there would be seven."""

    class Tiring(StubVisitor):
        def visit(self, visits):
            self.crashes = lambda job: visits[0].seed[1] > good
            return super().visit(visits)

    [item] = cells(table.folder)[:1]
    visitor = Tiring(lambda job, number: 1e-3 / 2**number)
    progress = measure(table, visitor, items=[item])
    assert len(visitor.visits) == good + 1
    assert [row.latency.repeats for row in rows(table)] == [90] * has_row
    assert [failed for failed, _ in progress.failed] == ([] if has_row else [item])


def test_boards_measure_groups_side_by_side(table):
    visitor = StubVisitor(width=2)
    progress = measure(table, visitor)
    assert len(rows(table)) == 7 and progress.finished == progress.groups == 4
    assert {row.cell.task.activation_rate: row.latency.median_s for row in rows(table)}[0.25] == 0.25e-3


def test_no_group_begins_after_the_time_limit(table):
    now = iter(range(10**6))
    progress = measure(table, time_limit_s=10, clock=lambda: float(next(now)))
    assert 0 < len(rows(table)) == len(progress.rows) < 7
    assert f"{7 - progress.done} left to measure" in measuring_summary(progress)[0]


def test_it_tells_how_far_it_is(table):
    seen = []
    measurer = Measurer(make_groups(cells(table.folder), SIZE), table)
    measurer.run(StubBuilder(), StubVisitor(), lambda progress: seen.append((progress.done, progress.doing)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[0] == (0, "building 1 library for masked_conv1x1 20→32 ×36")
    assert any(doing.startswith("pass 2 over 2 cells of masked_conv1x1") for _, doing in seen)
    assert seen[-1] == (7, "")


def test_rows_measured_again_are_compared_and_appended(table):
    items = cells(table.folder)
    measure(table, items=items)
    before = rows(table)
    chosen = choose_again(items, 4, seed=1)
    assert chosen == choose_again(items, 4, seed=1) != choose_again(items, 4, seed=2)
    assert len({item.cell.identity for item in chosen}) == 4
    slower = StubVisitor(lambda job, number: 1e-3 * job.rate * (1.05 if job.rate < 1 else 1.2))
    progress = Measurer(make_groups(chosen), table).run(StubBuilder(), slower)
    pairs = compare(before, progress.rows)
    assert {round(pair.ratio, 3): pair.agrees for pair in pairs} == {1.05: True, 1.2: False}
    agreeing = sum(item.cell.task.activation_rate < 1 for item in chosen)
    assert again_line(pairs) == f"{agreeing} of 4 rows that were measured again agree within 10%"
    assert len(rows(table)) == 11
    assert choose_again(items, 100, seed=0) == items
