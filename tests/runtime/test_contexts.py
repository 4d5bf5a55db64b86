"""Contexts are lent to one call at a time, fairly, and none is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lascompile.runtime import contexts as module
from lascompile.runtime.contexts import Contexts

# What Python 3.12 says of every fork beside threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


class Made:
    """Counts what it makes."""

    def __init__(self):
        self.count = 0

    def __call__(self):
        self.count += 1
        return [self.count]


def test_one_thread_has_one_context():
    made = Made()
    contexts = Contexts(made, 4)
    for _ in range(3):
        with contexts.lent() as context:
            assert context == [1]
    assert made.count == 1 and contexts.idle == [1]


def test_more_are_made_when_calls_meet_and_the_last_that_came_back_goes_first():
    made = Made()
    contexts = Contexts(made, 2)
    with contexts.lent() as first:
        with contexts.lent() as second:
            assert (first, second) == ([1], [2])
        with contexts.lent() as again:
            assert again is second
    with contexts.lent() as again:
        assert again is first
    assert made.count == 2


def test_who_finds_none_waits_for_one():
    contexts = Contexts(Made(), 1)

    def call():
        with contexts.lent() as context:
            return context

    with ThreadPoolExecutor(1) as pool:
        with contexts.lent() as mine:
            other = pool.submit(call)
            time.sleep(0.05)
            assert not other.done()
        assert other.result(timeout=10) is mine


@pytest.mark.parametrize("patience_s", [0.0, 1e-3, 10.0])
def test_none_is_lent_twice_or_lost(patience_s, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", patience_s)
    contexts, inside, guard = Contexts(Made(), 3), set(), threading.Lock()

    def call(_):
        with contexts.lent() as context:
            with guard:
                assert context[0] not in inside
                inside.add(context[0])
            time.sleep(1e-5)
            with guard:
                inside.remove(context[0])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(2000)))
    assert contexts._made == len(contexts._free) <= 3 and not contexts._waiting


def test_nobody_starves():
    """Each of eight threads that call again and again gets its share."""
    contexts, counts, ends = Contexts(Made(), 1), [0] * 8, threading.Event()

    def call(number):
        while not ends.is_set():
            with contexts.lent():
                time.sleep(2e-4)
                counts[number] += 1

    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            pool.submit(call, number)
        time.sleep(1.0)
        ends.set()
    assert min(counts) > max(counts) / 8


def test_a_context_that_cannot_be_made_is_not_counted():
    made, fails = Made(), [False]

    def make():
        if fails[0]:
            raise MemoryError
        return made()

    contexts = Contexts(make, 2)
    with contexts.lent():
        fails[0] = True
        with pytest.raises(MemoryError), contexts.lent():
            pass
        fails[0] = False
        with contexts.lent() as second:
            assert second == [2]


def test_an_interrupted_wait_leaves_nothing_behind():
    contexts = Contexts(Made(), 1)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with contexts.lent():
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(KeyboardInterrupt), contexts.lent():
                pass
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not contexts._waiting and len(contexts._free) == 1


def test_a_forked_child_waits_for_no_thread_of_its_parent():
    contexts, taken, ends = Contexts(Made(), 1), threading.Event(), threading.Event()

    def hold():
        with contexts.lent():
            taken.set()
            ends.wait()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(hold)
        taken.wait()
        pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            with contexts.lent() as context:
                os._exit(0 if context == [2] else 1)
        _, status = os.waitpid(pid, 0)
        ends.set()
    assert os.waitstatus_to_exitcode(status) == 0


def test_two_that_come_back_at_once_serve_two_that_wait(monkeypatch):
    """The first that waits is told of both before it runs: it tells the next one."""
    monkeypatch.setattr(module, "_PATIENCE_S", 60)
    contexts = Contexts(Made(), 2)
    first, second = contexts.take(), contexts.take()
    begun = threading.Barrier(3)

    def call():
        with contexts.lent():
            begun.wait(10)  # both run at the same time

    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(call) for _ in range(2)]
        while len(contexts._waiting) < 2:
            time.sleep(0.001)
        with contexts._lock:  # nobody runs before both are back
            contexts._free += [first, second]
            contexts._wake_first()
        begun.wait(10)
        for one in calls:
            one.result()


def test_who_is_interrupted_tells_the_next_one(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE_S", 60)
    contexts = Contexts(Made(), 1)
    context = contexts.take()
    interrupted = module._Waiter()
    contexts._waiting.append(interrupted)

    class Interrupted:
        def acquire(self):
            raise KeyboardInterrupt

    interrupted.turn = Interrupted()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(contexts.take)
        while len(contexts._waiting) < 2:
            time.sleep(0.001)
        contexts._free.append(context)  # it was told, and is interrupted before it takes what there is
        with pytest.raises(KeyboardInterrupt):
            contexts._wait(interrupted)
        assert other.result(10) is context
