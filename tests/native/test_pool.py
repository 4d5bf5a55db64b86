"""The thread pool by itself: each task once, for any number of callers, in a fork, with errors; no thread is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.native.pool_library import Pool, compile_pool, sanitized_program

# What Python 3.12 says of every fork beside threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

TASKS = Path("/proc/self/task")
CPUS = len(os.sched_getaffinity(0))
needs_cpus = pytest.mark.skipif(CPUS < 2, reason="one CPU: everything runs on the caller")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compile_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture
def pool(library, tmp_path):
    made = Pool(shutil.copy(library, tmp_path / "pool.so"))
    yield made
    made.stop()


def in_threads(count, call):
    """What `call` returns in `count` threads that begin together."""
    barrier = threading.Barrier(count)

    def begin(_):
        barrier.wait()
        return call()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(begin, range(count)))


def count_threads(expected):
    """Threads of this process, as soon as there are `expected`: joined ones take a moment to vanish."""
    until = time.monotonic() + 10
    while (count := len(list(TASKS.iterdir()))) != expected and time.monotonic() < until:
        time.sleep(0.01)
    return count


def exit_code_of_child(call):
    """Of a forked child that exits with what `call` returns, and is killed if it hangs."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        os._exit(call())
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("threads", [1, 2, 3, 64, 1000])
@pytest.mark.parametrize("turns", [1, 2, 7, 1000])
def test_every_turn_is_run_once(pool, threads, turns):
    pool.enter(threads)
    assert pool.rows(turns, 20, 200) == 0
    pool.leave()


@pytest.mark.parametrize("tasks", [1, 2, 3, 16, 1000])
def test_a_number_of_tasks_that_is_asked_for_is_kept(pool, tasks):
    assert pool.parts(tasks) == tasks


def test_there_are_as_many_workers_as_asked_for_but_for_the_caller(pool):
    assert pool.workers() == 0
    for threads in (1, 2, 2, 1000):
        pool.enter(threads)
        pool.leave()
        assert pool.workers() == min(threads, CPUS) - 1


def test_the_default_number_of_threads(pool):
    pool.default(1)
    assert pool.rows(100, 20, 10) == 0 and pool.workers() == 0
    pool.default(0)
    assert pool.rows(100, 20, 10) == 0 and pool.workers() == CPUS - 1


@needs_cpus
def test_threads_work_at_the_same_time(pool):
    assert pool.gather(8, 2000) == CPUS
    pool.enter(1)
    assert pool.gather(8, 2000) == 1
    pool.leave()


@needs_cpus
def test_a_sleeping_worker_is_woken(pool):
    for _ in range(5):
        assert pool.gather(8, 20_000) > 1  # callers and workers sleep longer than they spin


def test_who_calls_at_the_same_time_gets_right_results(pool):
    assert in_threads(8, lambda: pool.rows(50, 100, 500)) == [0] * 8


def test_more_callers_than_there_are_places_for(pool):
    assert in_threads(50, lambda: pool.rows(50, 50, 100)) == [0] * 50


def test_callers_that_ask_for_different_numbers(pool):
    def call():
        pool.enter(next(numbers))
        wrong = pool.rows(50, 100, 300)
        pool.leave()
        return wrong

    numbers = iter((1, 2, 3, 1000))
    assert in_threads(4, call) == [0] * 4


@needs_cpus
def test_callers_leave_each_other_a_cpu(pool):
    """As many callers as CPUs: no worker takes part."""
    barrier = threading.Barrier(CPUS)

    def call():
        pool.enter(CPUS)
        barrier.wait()
        most = pool.gather(8, 1000)
        barrier.wait()
        pool.leave()
        return most

    assert in_threads(CPUS, call) == [1] * CPUS


def test_calls_may_be_nested(pool):
    assert pool.nested() == 0
    for _ in range(2):
        pool.enter(2)
    assert pool.rows(50, 50, 50) == 0
    for _ in range(2):
        pool.leave()
    assert in_threads(4, pool.nested) == [0] * 4


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_of_a_task_reaches_the_caller(pool, threads):
    pool.enter(threads)
    for _ in range(100):
        assert [pool.failing(task) for task in (0, 5, 15)] == [7, 7, 7]
        assert pool.failing(16) == 0  # no such task
    assert pool.rows(50, 50, 50) == 0
    pool.leave()


@needs_cpus
def test_who_waits_computes_nothing(pool):
    """Whoever has no task while another one takes long sleeps soon."""
    pool.uneven(1000)
    before = time.process_time()
    for _ in range(3):
        pool.uneven(200_000)
    assert time.process_time() - before < 0.1


def test_a_barrier_between_tasks_is_refused(pool):
    """They may run one after the other; no kernel has one."""
    assert pool.barrier() == -1


@needs_cpus
@pytest.mark.slow
def test_threads_end_when_nothing_is_launched_for_long(pool):
    pool.rows(50, 50, 5)
    assert pool.workers() == CPUS - 1
    until = time.monotonic() + 15 * CPUS
    while pool.workers() > 0 and time.monotonic() < until:
        time.sleep(0.1)
    assert pool.workers() == 0
    assert pool.rows(50, 50, 5) == 0 and pool.workers() == CPUS - 1


def test_no_thread_is_left_for_each_that_called(pool):
    pool.rows(10, 10, 10)
    before = len(list(TASKS.iterdir()))
    for _ in range(300):
        thread = threading.Thread(target=lambda: pool.rows(10, 10, 1))
        thread.start()
        thread.join()
    assert count_threads(before) == before


def test_a_pool_that_was_stopped_starts_again(pool):
    before = len(list(TASKS.iterdir()))
    for _ in range(50):
        assert pool.rows(50, 50, 5) == 0
        pool.stop()
        assert pool.workers() == 0 and count_threads(before) == before


def test_a_pool_may_be_stopped_while_others_use_it(pool):
    """Loops within loops too, whose workers would start others."""

    def stop():
        for _ in range(100):
            pool.stop()

    with ThreadPoolExecutor(5) as threads:
        callers = [threads.submit(lambda: sum(pool.nested() for _ in range(50))) for _ in range(4)]
        threads.submit(stop).result(timeout=30)
        assert [caller.result(timeout=30) for caller in callers] == [0] * 4


def test_a_pool_is_stopped_under_a_caller_that_never_rests(pool):
    ends = threading.Event()

    def call():
        while not ends.is_set():
            assert pool.rows(100, 20, 50) == 0

    with ThreadPoolExecutor(2) as threads:
        caller = threads.submit(call)
        try:
            for _ in range(50):
                threads.submit(pool.stop).result(timeout=30)
        finally:
            ends.set()
        caller.result(timeout=30)


def test_a_forked_child_has_threads_of_its_own(pool):
    def child():
        started_anew = pool.workers() == 0
        wrong = pool.rows(50, 50, 50)
        return 0 if started_anew and not wrong and pool.workers() == CPUS - 1 else 1

    assert pool.rows(50, 50, 50) == 0
    assert exit_code_of_child(child) == 0
    assert exit_code_of_child(lambda: exit_code_of_child(child)) == 0  # a child's child
    assert pool.rows(50, 50, 50) == 0


def test_forks_while_others_call(pool):
    """A child finds nothing of what other threads were doing, who do not exist there."""
    ends = threading.Event()

    def call():
        wrong = 0
        while not ends.is_set():
            wrong += pool.rows(50, 50, 20)
        return wrong

    with ThreadPoolExecutor(4) as threads:
        others = [threads.submit(call) for _ in range(4)]
        try:
            codes = [exit_code_of_child(lambda: pool.rows(50, 50, 20)) for _ in range(30)]
        finally:
            ends.set()
        assert codes == [0] * 30 and [other.result() for other in others] == [0] * 4


def test_a_caller_that_may_use_one_cpu_stays_on_it(pool):
    def call():
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        return pool.gather(8, 1000)

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(call).result() == 1


@needs_cpus
def test_workers_have_the_cpus_of_the_process_not_of_the_first_caller(pool):
    def call():
        before = set(TASKS.iterdir())
        mine = os.sched_getaffinity(0)
        pool.enter(2)
        os.sched_setaffinity(0, {min(mine)})
        pool.gather(8, 1000)
        pool.leave()
        [worker] = {int(path.name) for path in set(TASKS.iterdir()) - before}
        return mine, os.sched_getaffinity(worker)

    with ThreadPoolExecutor(1) as thread:
        mine, workers = thread.submit(call).result()
    assert workers == mine


@needs_cpus
def test_signals_are_for_the_threads_of_the_process(pool):
    before = set(TASKS.iterdir())
    while pool.gather(8, 1000) == 1:  # a thread that has not begun yet blocks all signals
        pass
    for worker in set(TASKS.iterdir()) - before:
        [blocked] = [line for line in (worker / "status").read_text().splitlines() if line.startswith("SigBlk:")]
        mask = int(blocked.split()[1], 16)
        assert mask >> (signal.SIGINT - 1) & 1 and mask >> (signal.SIGTERM - 1) & 1
        assert not mask >> (signal.SIGSEGV - 1) & 1


@pytest.mark.slow
@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_sanitizers_find_nothing(sanitizer, tmp_path):
    """Of a program that launches from several threads, stops the pool between, and forks."""
    program = sanitized_program(tmp_path, sanitizer)
    if program is None:
        pytest.skip(f"this machine's compiler has no -fsanitize={sanitizer}")
    done = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
