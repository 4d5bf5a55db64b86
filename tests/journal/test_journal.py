from __future__ import annotations

import fcntl
import logging
import os
import random
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lascompile.errors import LascompileError
from lascompile.journal import Entry, Journal
from lascompile.journal import journal as implementation
from lascompile.journal.line import encode_line, to_payload
from tests.journal.processes import APPEND, REWRITE, start

FOREVER = 10**9
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ITEMS = st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=1, max_size=5)
SHARES_A_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "trials.jsonl"


@pytest.fixture
def journal(path):
    return Journal(path)


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "lascompile.journal")
    return lambda: [record.getMessage() for record in caplog.records]


def data(path: Path) -> list[dict]:
    """What a new reader finds."""
    return [entry.data for entry in Journal(path).entries()]


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


def test_what_was_appended_is_read(journal, path):
    journal.append({"a": 1}, {"b": [1.5, None, "é\n"]})
    journal.append({"a": 1})
    assert data(path) == [{"a": 1}, {"b": [1.5, None, "é\n"]}, {"a": 1}]
    assert [(entry.line, entry.payload) for entry in journal.entries()][2] == (3, b'{"a":1}')


def test_a_line_is_an_object_of_sum_and_data(journal, path):
    journal.append({"a": 1})
    assert path.read_text() == '{"sum":"015abd7f5cc57a2d","data":{"a":1}}\n'


def test_nothing_is_read_where_there_is_no_file(journal, path):
    assert journal.entries() == journal.damaged() == []
    assert journal.quarantined() == 0
    assert journal.prune(lambda entry: False) == 0
    assert not path.parent.exists()


def test_appending_nothing_makes_no_file(journal, path):
    journal.append()
    assert not path.exists()


@given(items=ITEMS)
@SHARES_A_FOLDER
def test_any_json_object_comes_back(tmp_path, items):
    path = tmp_path / "any.jsonl"
    path.unlink(missing_ok=True)
    Journal(path).append(*items)
    assert data(path) == items


@pytest.mark.parametrize("item", [{"a": float("nan")}, {"a": {1, 2}}])
def test_what_json_cannot_hold_is_refused_before_anything_is_written(journal, path, item):
    with pytest.raises((ValueError, TypeError)):
        journal.append({"fine": 1}, item)
    assert not path.exists()


def test_a_reader_sees_what_others_write(journal, path):
    reader = Journal(path)
    for count in range(3):
        assert len(reader.entries()) == count
        journal.append({"item": count})


def test_a_reader_follows_a_file_that_was_replaced(journal, path):
    reader = Journal(path)
    journal.append(*({"item": item} for item in range(5)))
    assert len(reader.entries()) == 5
    journal.prune(lambda entry: entry.data["item"] > 2)
    journal.append({"item": 5})
    assert [entry.data["item"] for entry in reader.entries()] == [3, 4, 5]
    path.unlink()
    assert reader.entries() == []


# A torn tail: what a killed writer leaves behind.


@given(items=ITEMS, share=st.floats(0, 1, exclude_max=True))
@SHARES_A_FOLDER
def test_a_torn_tail_is_left_out_and_then_repaired(tmp_path, items, share):
    path = tmp_path / "torn.jsonl"
    path.unlink(missing_ok=True)
    Journal(path).append(*items)
    whole = path.read_bytes()
    cut = int(share * len(whole))
    path.write_bytes(whole[:cut])
    survivors = whole[:cut].count(b"\n")
    journal = Journal(path)
    assert [entry.data for entry in journal.entries()] == items[:survivors]
    assert journal.damaged() == []
    journal.append({"next": 1})
    # A line that lacks nothing but its newline is kept.
    complete = cut > 0 and whole[cut : cut + 1] == b"\n"
    assert data(path) == [*items[: survivors + complete], {"next": 1}]
    assert path.read_bytes().endswith(b"\n")
    assert journal.quarantined() == 0


def test_a_tail_of_zeros_as_after_a_power_cut_is_cut_off(journal, path):
    journal.append({"a": 1})
    with path.open("ab") as file:
        file.write(bytes(4096))
    assert data(path) == [{"a": 1}]
    Journal(path).append({"b": 2})
    assert data(path) == [{"a": 1}, {"b": 2}]
    assert bytes(1) not in path.read_bytes()


# Damaged lines.


def flip(line: bytes) -> bytes:
    """The line with another digit inside its data."""
    return line.replace(b'"item":1', b'"item":7')


@pytest.fixture
def damaged(journal, path):
    """A file whose second line of three has a wrong checksum."""
    journal.append(*({"item": item} for item in range(3)))
    path.write_bytes(flip(path.read_bytes()))
    return path


def test_a_damaged_line_is_named_and_the_rest_is_used(damaged, warnings):
    journal = Journal(damaged)
    assert [entry.data["item"] for entry in journal.entries()] == [0, 2]
    message = f"{damaged}, line 2 is damaged and left out: its checksum does not match"
    assert [str(damage) for damage in journal.damaged()] == [message]
    journal.entries()
    assert warnings() == [message]  # once


def test_reading_leaves_a_damaged_file_as_it_is(damaged):
    before = damaged.read_bytes()
    Journal(damaged).entries()
    assert damaged.read_bytes() == before
    assert [file.name for file in damaged.parent.iterdir() if file.suffix != ".lock"] == [damaged.name]


def test_the_next_write_moves_it_to_the_quarantine(damaged, warnings):
    line = lines_of(damaged)[1]
    journal = Journal(damaged)
    journal.append({"item": 3})
    assert [entry.data["item"] for entry in journal.entries()] == [0, 2, 3]
    assert journal.damaged() == []
    assert lines_of(journal.quarantine) == [line]
    assert journal.quarantine.name == "trials.jsonl.quarantine"
    assert journal.quarantined() == 1
    assert warnings()[1:] == [f"{damaged}: damaged lines moved to trials.jsonl.quarantine: 1"]


def test_a_line_is_quarantined_once_though_a_writer_was_killed_in_between(damaged):
    before = damaged.read_bytes()
    journal = Journal(damaged)
    journal.append({"item": 3})
    damaged.write_bytes(before)
    Journal(damaged).append({"item": 4})
    assert journal.quarantined() == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"garbage", 'it does not read {"sum":…,"data":…}'),
        (bytes(40), 'it does not read {"sum":…,"data":…}'),
        (b'{"sum":"015abd7f5cc57a2e","data":{"a":1}}', "its checksum does not match"),
        (encode_line(b'{"a":1')[:-1] + b"}", "its checksum does not match"),
        (encode_line(b"{'a':1}")[:-1], "its data is not JSON"),
        (encode_line(b'{"a":1}')[:-1] + encode_line(b'{"b":1}')[:-1], "its checksum does not match"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(journal, path, line, why):
    journal.append({"item": 0})
    with path.open("ab") as file:
        file.write(line + b"\n")
    reader = Journal(path)
    assert [damage.why for damage in reader.damaged()] == [why]
    assert len(reader.entries()) == 1


def test_blank_lines_are_nothing(journal, path):
    journal.append({"item": 0})
    path.write_bytes(b"\n" + path.read_bytes() + b"  \n")
    assert [entry.line for entry in Journal(path).entries()] == [2]
    assert Journal(path).damaged() == []


@given(position=st.integers(0, 10**6), byte=st.integers(0, 255))
@SHARES_A_FOLDER
def test_any_single_wrong_byte_costs_two_lines_at_most(tmp_path, position, byte):
    path = tmp_path / "byte.jsonl"
    path.unlink(missing_ok=True)
    items = [{"item": item, "text": "abc"} for item in range(6)]
    Journal(path).append(*items)
    raw = bytearray(path.read_bytes())
    raw[position % len(raw)] = byte
    path.write_bytes(bytes(raw))
    found = data(path)
    assert len(found) >= 4  # a newline that is lost joins two
    assert all(item in items for item in found)
    Journal(path).append({"item": 6})
    assert data(path) == [*found, {"item": 6}] or data(path) == [*items, {"item": 6}]
    assert Journal(path).damaged() == []


# Failing writes.


def test_a_write_that_fails_half_way_leaves_the_file_as_it_was(journal, path, monkeypatch):
    journal.append({"item": 0})
    before = path.read_bytes()
    real = os.pwrite

    def full(file, text, offset):
        if len(text) < 20:
            raise OSError(28, "No space left on device")
        return real(file, text[:20], offset)

    monkeypatch.setattr(implementation.os, "pwrite", full)
    with pytest.raises(OSError) as caught:
        journal.append({"item": 1, "padding": "x" * 50})
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before


def test_ctrl_c_in_the_middle_leaves_the_file_as_it_was(journal, path, monkeypatch):
    journal.append({"item": 0})
    before = path.read_bytes()

    def interrupt(file):
        raise KeyboardInterrupt

    monkeypatch.setattr(implementation.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        journal.append({"item": 1})
    assert path.read_bytes() == before


def test_a_write_is_synced_before_it_returns(journal, path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(implementation.os, "fsync", lambda file: synced.append(os.fstat(file).st_size) or real(file))
    journal.append({"item": 0})
    assert path.stat().st_size in synced
    assert len(synced) == 2  # the file, and the folder that has got a new name


@pytest.fixture
def read_only(path):
    """The folder of a journal, which this process may not write to."""
    Journal(path).append({"item": 0})
    path.parent.chmod(0o555)
    if os.geteuid() != 0:
        yield path
        path.parent.chmod(0o755)
        return
    # Nothing is read-only for root: be somebody else, who may pass through the folders of pytest.
    folders = [folder for folder in path.parents if folder.stat().st_mode & 0o005 != 0o005]
    modes = [folder.stat().st_mode & 0o777 for folder in folders]
    for folder in folders:
        folder.chmod(0o755)
    os.seteuid(65534)
    yield path
    os.seteuid(0)
    for folder, mode in zip(folders, modes, strict=True):
        folder.chmod(mode)
    path.parent.chmod(0o755)


def test_a_read_only_folder_can_be_read_and_says_that_it_cannot_be_written(read_only):
    journal = Journal(read_only)
    assert [entry.data for entry in journal.entries()] == [{"item": 0}]
    with pytest.raises(PermissionError) as caught:
        journal.append({"item": 1})
    assert caught.value.filename == str(read_only)


# Several writers.


def test_writers_of_several_processes_lose_nothing(path):
    writers, items = 4, 40
    running = [start(APPEND, path, writer, items) for writer in range(writers)]
    running.append(start(REWRITE, path, 15))
    assert [process.wait(timeout=120) for process in running] == [0] * 5
    for process in running:
        assert process.stdout is not None
        process.stdout.close()
    journal = Journal(path)
    found = [(entry.data["writer"], entry.data["item"]) for entry in journal.entries()]
    assert sorted(found) == [(writer, item) for writer in range(writers) for item in range(items)]
    for writer in range(writers):  # each in the order in which it wrote
        assert [item for who, item in found if who == writer] == list(range(items))
    assert (journal.damaged(), journal.quarantined()) == ([], 0)


def test_threads_may_share_a_journal(journal, path):
    def write(writer):
        for item in range(20):
            journal.append({"writer": writer, "item": item})
            journal.entries()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(data(path)) == 80


def test_a_writer_waits_for_the_lock_and_then_gives_up(path):
    journal = Journal(path, lock_timeout_s=0.05)
    journal.append({"item": 0})
    with (path.parent / ".trials.jsonl.lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LascompileError) as caught:
            journal.append({"item": 1})
        assert str(caught.value) == (
            f"{path} has been locked by another process for 0.05 s; wait for it, or end it, and try again"
        )
        assert journal.entries()  # readers do not wait
    journal.append({"item": 1})
    assert len(data(path)) == 2


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_writer_loses_at_most_the_line_in_flight(path, seed):
    """Killed at some moment, four times over the same file; every line that was reported safe is there."""
    safe = []
    for writer in range(4):
        process = start(APPEND, path, writer, FOREVER)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.Random(seed * 10 + writer).uniform(0, 0.02))
        process.kill()
        process.wait(timeout=60)
        reported = 1 + process.stdout.read().count("\n")
        process.stdout.close()
        safe += [(writer, item) for item in range(reported)]
        found = [(entry.data["writer"], entry.data["item"]) for entry in Journal(path).entries()]
        assert found[: len(safe)] == safe
        assert len(found) - len(safe) <= 1  # written, but killed before it could say so
        safe = found
    Journal(path).append({"writer": 9, "item": 0})
    journal = Journal(path)
    assert len(journal.entries()) == len(safe) + 1
    assert (journal.damaged(), journal.quarantined()) == ([], 0)


def test_a_writer_that_is_killed_while_it_rewrites_loses_nothing(path):
    Journal(path).append(*({"writer": 0, "item": item} for item in range(200)))
    for number in range(6):
        process = start(REWRITE, path, FOREVER)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.Random(number).uniform(0, 0.02))
        process.kill()
        process.wait(timeout=60)
        process.stdout.close()
        journal = Journal(path)
        assert [entry.data["item"] for entry in journal.entries() if entry.data["writer"] == 0] == list(range(200))
        assert journal.damaged() == []
    journal.append({"writer": 9, "item": 0})
    assert journal.entries()[-1].data["writer"] == 9


# Merging and pruning.


def test_only_what_is_missing_is_added(journal, path):
    journal.append({"item": 0})
    payloads = [to_payload({"item": item}) for item in (0, 1, 1, 2)]
    assert journal.append_missing(payloads) == 2
    assert journal.append_missing(payloads) == 0
    assert [item["item"] for item in data(path)] == [0, 1, 2]


def test_pruning_removes_lines_and_keeps_the_mode(journal, path):
    journal.append(*({"item": item} for item in range(4)))
    path.chmod(0o640)
    assert journal.prune(lambda entry: entry.data["item"] % 2 == 0) == 2
    assert [item["item"] for item in data(path)] == [0, 2]
    assert path.stat().st_mode & 0o777 == 0o640
    assert journal.prune(lambda entry: True) == 0


def test_pruning_follows_a_link(journal, path, tmp_path):
    journal.append({"item": 0}, {"item": 1})
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    Journal(link).prune(lambda entry: entry.data["item"] == 1)
    assert link.is_symlink()
    assert data(path) == [{"item": 1}]


def test_a_rewrite_that_is_killed_before_its_end_changes_nothing(journal, path, monkeypatch):
    journal.append({"item": 0}, {"item": 1})
    before = path.read_bytes()

    def killed(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            journal.prune(lambda entry: False)
    assert path.read_bytes() == before
    assert Journal(path).prune(lambda entry: entry.line == 1) == 1
    assert data(path) == [{"item": 0}]


def test_an_entry_can_be_compared():
    assert Entry(1, b"{}", {}) == Entry(1, b"{}", {})
