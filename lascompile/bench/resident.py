"""A runtime in a process of its own, to measure what it does to a machine and what a machine does to it."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

LASCOMPILE = "lascompile"

_TASKS, _FILES, _STATUS = (Path("/proc/self") / name for name in ("task", "fd", "status"))


@dataclass(frozen=True)
class Model:
    """What a runtime loads.

    Attributes:
        onnx: The ONNX file.
        artifact: What was built from it.
        threads: Of the runtime.
    """

    onnx: Path
    artifact: Path
    threads: int


@dataclass(frozen=True)
class Served:
    """What came of several threads that called for some time.

    Attributes:
        requests: Calls of each thread.
        elapsed_s: Seconds from the first call's begin to the last one's end.
        latencies_s: Seconds of all calls.
    """

    requests: tuple[int, ...]
    elapsed_s: float
    latencies_s: np.ndarray

    @property
    def rate_per_s(self) -> float:
        """Calls in a second."""
        return sum(self.requests) / self.elapsed_s

    @property
    def fairness(self) -> float:
        """Calls of the thread that had fewest over those of the one that had most."""
        return min(self.requests) / max(self.requests)


@dataclass(frozen=True)
class Held:
    """What a process holds.

    Attributes:
        threads: Of the system.
        files: Open descriptors.
        resident_bytes: Memory.
    """

    threads: int
    files: int
    resident_bytes: int

    def __sub__(self, other: Held) -> Held:
        return Held(
            self.threads - other.threads, self.files - other.files, self.resident_bytes - other.resident_bytes
        )


class Resident:
    """The process. Its methods run there, one at a time."""

    def __init__(self, runtime: str, model: Model) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, runtime, model), daemon=True)
        self._process.start()
        theirs.close()
        self._answer()

    def latencies(self, seconds: float) -> np.ndarray:
        """Seconds of each call, one after the other for so long, behind an untimed one."""
        return self.serve(1, seconds).latencies_s

    def serve(self, clients: int, seconds: float) -> Served:
        """So many threads call as often as they can."""
        served: Served = self._ask("serve", clients, seconds)
        return served

    def short_lived_threads(self, count: int) -> Held:
        """What the process holds more after `count` threads that called once each, one after the other."""
        held: Held = self._ask("short_lived_threads", count)
        return held

    def loads(self, count: int) -> Held:
        """What the process holds more after the model was loaded, called and dropped so often."""
        held: Held = self._ask("loads", count)
        return held

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _ask(self, *request: Any) -> Any:
        self._pipe.send(request)
        return self._answer()

    def _answer(self) -> Any:
        answer = self._pipe.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer


Clients = Sequence[Callable[[], object]]


class _Worker:
    """The other end."""

    def __init__(self, runtime: str, model: Model) -> None:
        self._open = _opener(runtime, model)
        self._opened: dict[int, Clients] = {}
        self._calls(1)[0]()

    def serve(self, clients: int, seconds: float) -> Served:
        start = threading.Barrier(clients)

        def client(call: Callable[[], object]) -> tuple[float, list[float], float]:
            call()
            start.wait()
            times: list[float] = []
            began = now = time.perf_counter()
            while not times or now < began + seconds:
                call()
                before, now = now, time.perf_counter()
                times.append(now - before)
            return began, times, now

        with ThreadPoolExecutor(clients) as threads:
            found = list(threads.map(client, self._calls(clients)))
        elapsed = max(end for _, _, end in found) - min(begin for begin, _, _ in found)
        latencies = np.concatenate([times for _, times, _ in found])
        return Served(tuple(len(times) for _, times, _ in found), elapsed, latencies)

    def _calls(self, clients: int) -> Clients:
        if clients not in self._opened:
            self._opened[clients] = self._open(clients)
        return self._opened[clients]

    def short_lived_threads(self, count: int) -> Held:
        self._short_lived(min(count, 100))  # until memory has settled
        before = held()
        self._short_lived(count)
        return held() - before

    def loads(self, count: int) -> Held:
        self._load_again(min(count, 10))
        before = held()
        self._load_again(count)
        return held() - before

    def _short_lived(self, count: int) -> None:
        call = self._calls(1)[0]
        for _ in range(count):
            thread = threading.Thread(target=call)
            thread.start()
            thread.join()

    def _load_again(self, count: int) -> None:
        for _ in range(count):
            self._open(1)[0]()


def _serve(pipe: Connection, runtime: str, model: Model) -> None:
    try:
        worker = _Worker(runtime, model)
        pipe.send("ready")
        while True:
            name, *arguments = pipe.recv()
            pipe.send(getattr(worker, name)(*arguments))
    except EOFError:
        return
    except Exception as error:  # for whoever asked
        pipe.send(error)


def _opener(runtime: str, model: Model) -> Callable[[int], Clients]:
    """Loads the model for so many clients."""
    from lascompile.runtime.artifact import load
    from lascompile.sample_inputs import natural_inputs

    inputs = natural_inputs(load(model.artifact, model.threads).manifest.inputs, 0)
    if runtime == LASCOMPILE:

        def open_artifact(clients: int) -> Clients:
            artifact = load(model.artifact, model.threads)
            return [lambda: artifact.run(*inputs)] * clients

        return open_artifact
    from lascompile.bench.baselines import BASELINES
    from lascompile.frontend.load import load_model

    return lambda clients: BASELINES[runtime].open_clients(load_model(model.onnx), inputs, model.threads, clients)


def held() -> Held:
    """What this process holds now."""
    time.sleep(0.1)  # threads that were joined take a moment to vanish
    (resident,) = [line.split()[1] for line in _STATUS.read_text().splitlines() if line.startswith("VmRSS:")]
    return Held(len(list(_TASKS.iterdir())), len(list(_FILES.iterdir())), int(resident) * 1024)
