from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from lascompile.errors import UsageError
from lascompile.journal import Merged
from lascompile.records import Failure, RecordStore, open_store, shipped_folder, user_folder
from tests.records.samples import DENSE, GATHER, KNOWN, TASK, VERSIONS, record

FILE = "a-cpu/tvm-0.27.0.post1/trials.jsonl"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "records"


@pytest.fixture
def store(folder):
    return RecordStore(folder)


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.WARNING, "lascompile")
    return lambda: [entry.getMessage() for entry in caplog.records]


def medians(store):
    return [item.value.latency.median_s for item in store.records() if item.value.latency]


def test_records_are_kept_in_a_folder_a_device_and_version(store, folder):
    records = [record(1e-3), record(None), record(2e-3, device="Jetson TX2")]
    store.append(*records)
    assert [item.value for item in RecordStore(folder).records()] == records
    assert (folder / FILE).exists()
    assert (folder / "jetson-tx2" / "tvm-0.27.0.post1" / "trials.jsonl").exists()
    first = next(iter(store.records()))
    assert (first.path, first.line, first.shipped) == (folder / FILE, 1, False)


def test_a_folder_that_is_not_there_is_empty(store, folder):
    assert list(store.records()) == store.unreadable() == store.damaged() == store.trials(TASK, KNOWN) == []
    assert (store.best(TASK, KNOWN), store.quarantined(), store.prune(lambda item: True)) == (None, 0, 0)
    assert not folder.exists()


def test_a_record_that_cannot_be_stored_is_refused_whole(store, folder):
    with pytest.raises(TypeError, match="a int64 cannot be stored"):
        store.append(record(decisions={"tile": np.int64(8)}))
    assert list(store.records()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"threads": 4},
        {"workload": replace(GATHER, rows=784)},
        {"target": replace(TASK.target, mcpu="znver4")},
        {"target": replace(TASK.target, features=("avx2",))},
        {"versions": replace(VERSIONS, tvm="0.28.0")},
        {"definition": "d0"},
        {"algorithm": "unknown"},
    ],
)
def test_what_must_be_equal_to_serve_a_task(store, change):
    store.append(record(1e-3, **change))
    assert store.best(TASK, KNOWN) is None
    store.append(record(5e-3))
    match = store.best(TASK, KNOWN)
    assert match is not None
    assert match.record.latency.median_s == 5e-3


def test_the_batch_and_the_version_of_lascompile_need_not_be_equal(store):
    store.append(record(1e-3, batch=4, versions=replace(VERSIONS, lascompile="0.0.1", llvm="20")))
    assert store.best(TASK, KNOWN) is not None


def test_algorithms_that_are_not_asked_for_do_not_serve(store):
    store.append(record(1e-3, algorithm="winograd", definition="w1"), record(2e-3))
    assert store.best(TASK, KNOWN).record.algorithm == "winograd"
    assert store.best(TASK, {"direct": KNOWN["direct"]}).record.algorithm == "direct"


def test_the_better_of_the_user_s_and_the_shipped_record_wins(tmp_path):
    shipped, own = RecordStore(tmp_path / "shipped"), tmp_path / "own"
    shipped.append(record(2e-3, tile=4))
    store = RecordStore(own, tmp_path / "shipped")
    assert store.best(TASK, KNOWN).shipped
    store.append(record(3e-3, tile=8))
    assert store.best(TASK, KNOWN).shipped
    store.append(record(1e-3, tile=6))
    match = store.best(TASK, KNOWN)
    assert (match.shipped, match.decisions.tile) == (False, 6)
    assert len(list(store.records())) == 3
    assert len(list(store.records(shipped=False))) == 2


def test_a_folder_is_not_read_twice_where_it_is_the_shipped_one(tmp_path):
    store = RecordStore(tmp_path / "x", tmp_path / "y" / ".." / "x")
    store.append(record())
    assert len(list(store.records())) == 1


def test_outdated_records_are_left_out_with_one_line(store, said):
    store.append(record(1e-3, definition="d0"), record(2e-3, definition="d0"), record(decisions={"rows": 4}))
    for _ in range(3):
        assert store.best(TASK, KNOWN) is None
    advice = "tune again, or remove them by lascompile records prune --outdated"
    assert said() == [
        "gather_conv3x3 by algorithm direct: records left out, since they are of another definition of the kernel: 2; "
        + advice,
        "gather_conv3x3 by algorithm direct: records left out, since they are of another schedule (decisions.rows is "
        "not known): 1; " + advice,
    ]


def test_the_same_of_many_kernels_is_one_warning(store, caplog):
    caplog.set_level(logging.INFO)
    workloads = (GATHER, DENSE)
    store.append(*(record(definition="d0", workload=workload) for workload in workloads))
    for workload in workloads:
        assert store.best(replace(TASK, workload=workload), KNOWN) is None
    assert [entry.levelno for entry in caplog.records] == [logging.WARNING, logging.INFO]


def test_nothing_is_said_of_outdated_records_where_another_serves(store, said):
    store.append(record(1e-3, definition="d0"), record(2e-3))
    assert store.best(TASK, KNOWN) is not None
    assert said() == []


def test_trials_are_those_of_exactly_this_task(store):
    store.append(record(1e-3, trial=0), record(None, trial=1), record(2e-3, trial=2, tile=4))
    store.append(
        record(activation_rate=0.25),
        record(device="another"),
        record(batch=2),
        record(threads=1),
        record(definition="d0"),
        record(versions=replace(VERSIONS, tvm="0.26.0")),
    )
    assert [item.trial for item in store.trials(TASK, KNOWN)] == [0, 1, 2]
    assert [item.failure is None for item in store.trials(TASK, KNOWN)] == [True, False, True]


def test_shipped_trials_do_not_count_for_a_budget(tmp_path):
    RecordStore(tmp_path / "shipped").append(record())
    assert RecordStore(tmp_path / "own", tmp_path / "shipped").trials(TASK, KNOWN) == []


def test_two_stores_on_one_folder_see_each_other(folder):
    one, other = RecordStore(folder), RecordStore(folder)
    one.append(record(1e-3))
    other.append(record(2e-3))
    one.append(record(3e-3))
    assert medians(one) == medians(other) == [1e-3, 2e-3, 3e-3]


def test_lines_for_a_newer_version_are_kept_and_named_once(store, folder, said):
    store.append(record(1e-3))
    journal = store._own.journal("A CPU", "0.27.0.post1")
    newer = {**record().to_json(), "schema": 2}
    journal.append(newer, newer | {"seed": 1})
    unknown = record().to_json()
    unknown["task"]["workload"]["type"] = "FutureWorkload"
    journal.append(unknown)
    for _ in range(2):
        assert medians(store) == [1e-3]
    path = folder / FILE
    assert said() == [
        f"{path}, line 2 and 1 more: left out, since a newer lascompile wrote it (schema 2, this one reads up to 1)",
        f"{path}, line 4: left out, since task.workload.type 'FutureWorkload' is not known",
    ]
    assert [item.line for item in store.unreadable()] == [2, 3, 4]
    store.prune(lambda item: True)
    assert len(store.unreadable()) == 3
    elsewhere = RecordStore(folder.with_name("elsewhere"))
    assert elsewhere.merge(folder) == Merged(3, 0)


def test_damaged_lines_are_reported_moved_and_counted(store, folder, said):
    store.append(record(1e-3), record(2e-3), record(3e-3))
    path = folder / FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"0.002", b"0.001") + lines[2])
    fresh = RecordStore(folder)
    assert medians(fresh) == [1e-3, 3e-3]
    assert said() == [f"{path}, line 2 is damaged and left out: its checksum does not match"]
    assert (len(fresh.damaged()), fresh.quarantined()) == (1, 0)
    fresh.append(record(4e-3))
    assert (len(fresh.damaged()), fresh.quarantined()) == (0, 1)
    assert medians(fresh) == [1e-3, 3e-3, 4e-3]


def test_merging_overlapping_stores_is_idempotent(tmp_path):
    one, other = RecordStore(tmp_path / "one"), RecordStore(tmp_path / "other")
    common = record(1e-3)
    one.append(common, record(2e-3))
    other.append(common, record(3e-3), record(device="Jetson TX2"))
    assert one.merge(other.folder) == Merged(added=2, present=1)
    assert one.merge(other.folder) == Merged(added=0, present=3)
    assert len(list(one.records())) == 4
    assert len({item.value.identity for item in one.records()}) == 4


def test_pruning_removes_what_is_not_wanted(store):
    store.append(record(1e-3), record(None), record(2e-3))
    assert store.prune(lambda item: item.value.failure is not None) == 1
    assert medians(store) == [1e-3, 2e-3]


def test_the_user_s_folder_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_folder() == tmp_path / "lascompile" / "records"
    monkeypatch.setenv("HOME", str(tmp_path))
    for relative in ("cache", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert user_folder() == tmp_path / ".cache" / "lascompile" / "records"


def test_a_store_is_opened_in_the_given_folder_or_the_user_s(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert open_store().folder == user_folder()
    assert open_store(tmp_path / "x").folder == tmp_path / "x"
    assert shipped_folder().parts[-3:] == ("lascompile", "schedules", "records")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UsageError) as caught:
        open_store(file)
    assert str(caught.value) == f"{file} is a file, but records are kept in a folder; give another one with --records"


def test_a_failure_is_a_trial_with_its_reason(store):
    store.append(record(None, failure=Failure("build", "LLVM said no")))
    assert [item.failure for item in store.trials(TASK, KNOWN)] == [Failure("build", "LLVM said no")]
