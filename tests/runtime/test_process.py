"""What loading and running does to the process: no compiler, little memory, no CPU taken from the caller."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lascompile.runtime.artifact import load

# What Python 3.12 says of every fork beside threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

RUN = """
import json, os, sys
from pathlib import Path
import numpy as np
import lascompile

def peak_kib():
    # Not getrusage: its peak is inherited from the process that started this one.
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])

def call(times):
    for _ in range(times):
        artifact(*inputs)

before = sorted(os.sched_getaffinity(0))
artifact = lascompile.load(sys.argv[1])
inputs = [np.ones(spec.shape, spec.dtype) for spec in artifact.manifest.inputs]
call(50)
report = {
    "before": before,
    "after": sorted(os.sched_getaffinity(0)),
    "heavy": [name for name in ("tvm", "torch", "onnx", "onnxruntime") if name in sys.modules],
    "peak_kib": peak_kib(),
}
call(1000)
print(json.dumps({**report, "growth_kib": peak_kib() - report["peak_kib"]}))
"""


@pytest.fixture(scope="module")
def process(built, root):
    """What a process of its own reports that loads the artifact and runs it."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(built)], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


def test_the_compiler_is_not_imported(process):
    assert process["heavy"] == []


def test_memory_stays_small(process):
    assert 10 * 1024 < process["peak_kib"] < 250 * 1024


def test_calls_leave_no_memory_behind(process):
    """A thousand outputs of 4 KiB each."""
    assert process["growth_kib"] < 1024


def test_a_process_keeps_its_cpus(process):
    assert process["before"] == process["after"]


def test_affinity_survives_a_change_of_threads(built, image):
    before = os.sched_getaffinity(0)
    for threads in (1, 2, 1000, 1):
        load(built, threads)(image)
        assert os.sched_getaffinity(0) == before


TASKS = Path("/proc/self/task")


def in_a_thread(call):
    """What `call` returns in a thread of its own, which has an affinity of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


@pytest.mark.parametrize("threads", [1, 2])
def test_another_python_thread_has_its_cpus_and_threads_too(built, image, threads):
    artifact = load(built, threads)
    expected = artifact(image)
    before = os.sched_getaffinity(0)
    for _ in range(2):
        result, after = in_a_thread(lambda: (artifact(image), os.sched_getaffinity(0)))
        assert np.array_equal(result, expected)
        assert after == before


def test_threads_belong_to_the_process(built, image):
    """However many of its threads have called, and ended or not."""
    artifact = load(built, 2)
    artifact(image)
    before = len(list(TASKS.iterdir()))
    for _ in range(50):
        in_a_thread(lambda: artifact(image))
    until = time.monotonic() + 10
    while len(list(TASKS.iterdir())) > before and time.monotonic() < until:
        time.sleep(0.01)  # one that was joined takes a moment to vanish
    assert len(list(TASKS.iterdir())) <= before


def exit_code_of_child(call):
    """Of a forked child that exits with what `call` returns; killed if it hangs."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        try:
            code = 0 if call() else 1
        except BaseException:
            code = 2
        os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_forked_child_runs_what_its_parent_has_loaded(built, image, threads):
    artifact = load(built, threads)
    expected = artifact(image)
    assert exit_code_of_child(lambda: np.array_equal(artifact(image), expected)) == 0
    assert np.array_equal(artifact(image), expected)


def test_a_child_forked_while_others_call(built, image):
    artifact = load(built, 2)
    expected = artifact(image)
    ends = threading.Event()

    def call():
        while not ends.is_set():
            artifact(image)

    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            pool.submit(call)
        codes = [exit_code_of_child(lambda: np.array_equal(artifact(image), expected)) for _ in range(20)]
        ends.set()
    assert codes == [0] * 20


def test_results_are_the_same_to_the_bit_beside_busy_threads(built, image):
    """More threads than CPUs want to run: who computes what is by chance."""
    expected = load(built, 1)(image)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    try:
        for threads in (1, 2, 3):
            artifact = load(built, threads)
            with ThreadPoolExecutor(4) as pool:
                assert all(np.array_equal(out, expected) for out in pool.map(artifact, [image] * 60))
    finally:
        for process in busy:
            process.kill()
            process.wait()


LOADS = """
import gc, sys
from pathlib import Path
import numpy as np
import lascompile

def held():
    gc.collect()
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return [int(line.split()[1]), *(len(list(Path("/proc/self", name).iterdir())) for name in ("task", "fd"))]

def load(times):
    for _ in range(times):
        artifact = lascompile.load(sys.argv[1], 2)
        artifact(*[np.ones(spec.shape, spec.dtype) for spec in artifact.manifest.inputs])

load(30)
before = held()
load(200)
print([after - first for after, first in zip(held(), before)])
"""


def test_loads_leave_nothing_behind(built, root):
    done = subprocess.run(
        [sys.executable, "-c", LOADS, str(built)], cwd=root, capture_output=True, text=True, check=True, timeout=60
    )
    kib, threads, files = json.loads(done.stdout)
    assert (threads, files) == (0, 0) and kib < 1024


def test_one_cpu_stays_one_cpu(built, image):
    cpu = min(os.sched_getaffinity(0))
    artifact = load(built, 2)

    def call():
        os.sched_setaffinity(0, {cpu})
        artifact(image)
        return os.sched_getaffinity(0)

    assert in_a_thread(call) == {cpu}
