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
    monkeypatch.setattr(library, "_in_use", type(library._in_use)())
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


def test_threads_of_the_caller_have_their_own(configured, cpus):
    library.use_threads(3)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(library.use_threads, 2).result()
    assert [arguments[1] for arguments in configured] == [3, 2]
