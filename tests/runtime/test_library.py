"""Threads: how many there are, and which CPUs they have while kernels run and afterwards."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from lascompile.runtime import library


@pytest.fixture
def configured(monkeypatch):
    """What TVM was asked for."""
    calls = []
    monkeypatch.setattr(library, "ffi", lambda: _Ffi(calls))
    monkeypatch.setattr(library, "_in_use", library._InUse())
    return calls


class _Ffi:
    def __init__(self, calls):
        self._calls = calls

    def get_global_func(self, name):
        assert name == "runtime.config_threadpool"
        return lambda *arguments: self._calls.append(arguments)


@pytest.fixture
def cpus(monkeypatch):
    """A process that may use CPUs 2, 3 and 5; the list holds what the caller may use."""
    own = [{2, 3, 5}]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: own[-1])
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, wanted: own.append(set(wanted)))
    return own


def test_all_cpus_are_dealt_out_and_the_caller_has_one_while_it_computes(configured, cpus):
    library.use_threads(3)
    assert configured == [(-2, 3, ["2", "3", "5"])]
    assert cpus == [{2, 3, 5}]
    with library.caller_pinned():
        assert cpus[-1] == {2}
    assert cpus[-1] == {2, 3, 5}


def test_the_caller_is_free_again_after_an_error(configured, cpus):
    library.use_threads(3)
    with pytest.raises(RuntimeError), library.caller_pinned():
        raise RuntimeError
    assert cpus[-1] == {2, 3, 5}


def test_fewer_threads_share_all_cpus(configured, cpus):
    library.use_threads(2)
    assert configured == [(-3, 2, ["2", "3", "5"])]
    with library.caller_pinned():
        assert cpus == [{2, 3, 5}]


def test_no_more_threads_than_cpus(configured, cpus):
    library.use_threads(8)
    assert configured == [(-2, 3, ["2", "3", "5"])]


def test_configured_once_and_again_where_cpus_or_number_change(configured, cpus):
    for count in (3, 3, 2):
        library.use_threads(count)
    cpus.append({2, 3})
    library.use_threads(2)
    assert [arguments[1] for arguments in configured] == [3, 2, 2]


def test_a_caller_that_is_pinned_for_good_stays_so(configured, cpus):
    library.use_threads(3)
    library.pin_caller()
    library.use_threads(3)
    with library.caller_pinned():
        pass
    assert len(configured) == 1 and cpus == [{2, 3, 5}, {2}]


def test_pinned_for_good_is_until_another_number_is_asked_for(configured, cpus):
    """As of a script that measures on several numbers of threads, in any order."""
    library.use_threads(3)
    library.pin_caller()
    library.use_threads(2)
    assert configured[1:] == [(-3, 2, ["2", "3", "5"])] and cpus[-1] == {2, 3, 5}
    library.pin_caller()
    assert cpus[-1] == {2, 3, 5}
    library.use_threads(3)
    library.pin_caller()
    assert configured[2:] == [(-2, 3, ["2", "3", "5"])] and cpus[-1] == {2}


def test_where_the_system_forbids_to_pin_kernels_run_all_the_same(configured, cpus, monkeypatch):
    def forbid(_, wanted):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", forbid)
    library.use_threads(3)
    with library.caller_pinned():
        pass
    library.pin_caller()
    library.use_threads(2)
    assert [arguments[1] for arguments in configured] == [3, 2]


def test_two_threads_at_once_do_not_have_the_same_cpus(configured, cpus, monkeypatch):
    """The second one's kernels run wherever there is room, and on a CPU each again as soon as it is alone."""

    # As the second one sees it, which is not pinned itself.
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 5})

    def second():
        library.use_threads(3)
        with library.caller_pinned():
            return configured[-1], list(cpus)

    library.use_threads(3)
    with ThreadPoolExecutor(1) as pool:
        with library.caller_pinned():
            assert pool.submit(second).result() == ((-3, 3, ["2", "3", "5"]), [{2, 3, 5}, {2}])
        assert pool.submit(second).result() == ((-2, 3, ["2", "3", "5"]), [{2, 3, 5}, {2}, {2, 3, 5}, {2}])


def test_of_two_threads_that_were_alone_when_they_began_one_is_pinned(configured, cpus):
    library.use_threads(3)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(library.use_threads, 3).result()

        def run():
            with library.caller_pinned():
                return cpus[-1]

        with library.caller_pinned():
            count = len(cpus)
            pool.submit(run).result()
            assert len(cpus) == count
        assert pool.submit(run).result() == {2}


def test_threads_of_the_caller_have_their_own(configured, cpus):
    library.use_threads(3)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(library.use_threads, 2).result()
    assert [arguments[1] for arguments in configured] == [3, 2]
