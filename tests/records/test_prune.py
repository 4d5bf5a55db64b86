from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lascompile.records import WRONG, Failure, RecordStore
from lascompile.records.prune import Rules, find_unwanted
from tests.records.samples import KNOWN, TASK, VERSIONS, record

RATES = (0.1, 0.5)
REASONS = ("timeout", WRONG)


@pytest.fixture
def store(tmp_path):
    return RecordStore(tmp_path)


def prune(store, **rules):
    """The numbers of the trials that are left."""
    unwanted = {item.payload for item in find_unwanted(store.records(), Rules(**rules))}
    store.prune(lambda item: item.payload in unwanted)
    return [item.value.trial for item in store.records()]


def test_nothing_is_removed_without_a_rule(store):
    store.append(record(trial=0), record(None, trial=1))
    assert prune(store) == [0, 1]


def test_failed_trials_go_but_wrong_ones_stay(store):
    wrong = record(None, tile=4, failure=Failure(WRONG), trial=2)
    store.append(record(tile=8, trial=0), record(None, tile=6, trial=1), wrong)
    assert prune(store, failed=True) == [0, 2]


def test_what_a_failure_replaced_goes_with_it(store):
    store.append(record(1e-3, tile=8, trial=0), record(None, tile=8, trial=1), record(2e-3, tile=4, trial=2))
    assert store.best(TASK, KNOWN).record.trial == 2
    assert prune(store, failed=True) == [2]


def test_the_fastest_of_each_task_and_algorithm_are_kept(store):
    store.append(*(record(1e-3 * (5 - trial), tile=trial, trial=trial) for trial in range(5)))
    store.append(*(record(1e-4, algorithm="winograd", definition="w1", tile=trial, trial=9) for trial in range(3)))
    store.append(record(1.0, activation_rate=0.1, trial=10), record(1.0, device="another", trial=11))
    assert sorted(prune(store, keep=2)) == [3, 4, 9, 9, 10, 11]


def test_what_was_measured_again_counts_as_measured_last(store):
    store.append(record(1e-3, tile=8, trial=0), record(9e-3, tile=8, trial=1), record(5e-3, tile=4, trial=2))
    assert prune(store, keep=1) == [2]


def test_failed_trials_stay_unless_they_are_to_go(store):
    store.append(record(trial=0), record(None, tile=4, trial=1))
    assert prune(store, keep=1) == [0, 1]
    assert prune(store, keep=1, failed=True) == [0]


def test_records_of_other_versions_of_tvm_go(store):
    store.append(record(trial=0), record(trial=1, versions=replace(VERSIONS, tvm="0.26.0")))
    assert prune(store, outdated=lambda record: record.trial == 1) == [1, 0]  # it cannot be told
    assert prune(store, other_tvm=True) == [0]


def test_outdated_records_go(store):
    store.append(record(trial=0), record(trial=1, definition="d0"), record(None, trial=2, decisions={"rows": 4}))
    assert prune(store, outdated=lambda item: KNOWN[item.algorithm].why_not(item) is not None) == [0]


def test_only_records_of_the_device_go(store):
    store.append(record(None, trial=0), record(None, trial=1, device="another"))
    assert prune(store, failed=True, device="another") == [0]


TRIALS = st.tuples(
    st.sampled_from(RATES),
    st.sampled_from(["A CPU", "another"]),
    st.integers(1, 3),
    st.one_of(st.sampled_from([1e-3, 2e-3, 3e-3]), st.sampled_from(REASONS)),
)


@given(st.lists(TRIALS, max_size=10), st.booleans(), st.one_of(st.none(), st.integers(1, 2)))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pruning_never_changes_which_record_serves(tmp_path_factory, trials, failed, keep):
    store = RecordStore(tmp_path_factory.mktemp("records"))
    for number, (rate, device, tile, outcome) in enumerate(trials):
        failure = Failure(outcome) if isinstance(outcome, str) else None
        median_s = None if isinstance(outcome, str) else outcome
        changes = {"failure": failure} if failure else {}
        when = f"2026-01-01T00:00:00.{number:06d}+00:00"
        store.append(record(median_s, tile=tile, activation_rate=rate, device=device, when=when, **changes))
    tasks = [replace(TASK, activation_rate=rate, device=device) for rate in RATES for device in ("A CPU", "another")]

    def serving():
        found = [store.best(task, KNOWN) for task in tasks]
        return [match.record if match else None for match in found]

    before = serving()
    prune(store, failed=failed, keep=keep)
    assert serving() == before
