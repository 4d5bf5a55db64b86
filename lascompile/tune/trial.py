"""One trial, as the process that measures does it: allot buffers, compare what comes out with the reference, time it.

Runs in a worker of MetaSchedule's runners, on this machine or with a board at the other end of an RPC session.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean
from typing import Any

import tvm
from tvm.rpc import RPCSession
from tvm.s_tir.meta_schedule.runner import EvaluatorConfig

from lascompile.cpu import permit_tiles, waited_for_cpu_s
from lascompile.schedules.algorithm import Algorithm
from lascompile.schedules.backends import algorithm_of
from lascompile.schedules.cpu.tile_permission import ask_for_tiles, needs_tiles
from lascompile.sites.activity import Activity
from lascompile.tune.calm import run_calm_block
from lascompile.tune.problem import ConvolutionProblem
from lascompile.tune.problems import make_problem
from lascompile.workload import Form

ENTRY = "main"
WRONG_RESULT = "wrong result: "
"""How the message of an error begins that the kernel, not the machine, is to blame for."""

_RATE_SPREAD = 0.2
"""How far the timed rates are apart, relative to the middle one."""

_FLUSH = "cache_flush_cpu_non_first_arg"

_THREADS = "lascompile_pool_measure"
"""The function of a library that says on how many threads its kernels run; see `lascompile/native/pool.c`."""


@dataclass(frozen=True)
class Job:
    """What a worker has to know of a trial.

    Attributes:
        workload: The kernel.
        kind: The kind of target that it is built for.
        algorithm: Its algorithm's name.
        decisions: Of the schedule.
        activity: Where its rows come from.
        rate: The activation rate about which it is timed.
        threads: Threads that run it.
        seed: Of masks and numbers; the same for all trials of a task.
    """

    workload: Form
    kind: str
    algorithm: str
    decisions: Any
    activity: Activity
    rate: float
    threads: int
    seed: int = 0

    @property
    def row(self) -> Algorithm:
        """Its algorithm."""
        return algorithm_of(self.kind, self.algorithm)


@dataclass
class Call:
    """Buffers on the device, and what has to be in the last of them when the kernel has run."""

    job: Job
    problem: ConvolutionProblem
    tensors: list[tvm.runtime.Tensor]


class WrongResult(Exception):
    """The kernel computes something else than the reference."""

    def __init__(self, fault: str) -> None:
        super().__init__(f"{WRONG_RESULT}{fault}")


def timed_rates(job: Job) -> tuple[float, ...]:
    """The activation rates at which a kernel is timed.

    At one rate alone that schedule would win whose tiles just divide the rows that there are, however badly it does
    with one row more.
    """
    if not job.workload.counted:
        return (job.rate,)
    spread = min(_RATE_SPREAD, 1 / job.rate - 1)  # up to 1, and as far to the other side
    return tuple(sorted({job.rate * factor for factor in (1 - spread, 1.0, 1 + spread)}))


def check_rates(job: Job) -> tuple[float, ...]:
    """Those at which the output is compared: nothing, everything, and last those of the timing."""
    timed = timed_rates(job)
    return timed if not job.workload.counted else (*(rate for rate in (0.0, 1.0) if rate not in timed), *timed)


def allocate(job: Job, device: tvm.runtime.Device, _args_info: object = None, _repeats: int = 1) -> list[Call]:
    """A call for each of `check_rates`. Has the signature of MetaSchedule's argument makers, but for `job`."""
    prepare()
    return [allot(job, rate, device) for rate in check_rates(job)]


def allocate_remotely(
    job: Job, _session: RPCSession, device: tvm.runtime.Device, _args_info: object = None, _repeats: int = 1
) -> list[Call]:
    """The same on a board."""
    return [allot(job, rate, device) for rate in check_rates(job)]


def prepare() -> None:
    """Ask for what kernels need of the process that runs them."""
    permit_tiles()  # elsewhere it is loading an artifact that asks, which this process never does


def use_threads(library: tvm.runtime.Module, threads: int) -> None:
    """Run the kernels of `library` on `threads` threads, where it was loaded; each library has threads of its own."""
    library[_THREADS](threads)


def evaluate(
    library: tvm.runtime.Module,
    device: tvm.runtime.Device,
    config: EvaluatorConfig,
    calls: list[Call],
    waited_s: Callable[[], float] = waited_for_cpu_s,
) -> list[float]:
    """Run all `calls` and compare; then the seconds of each timed run, as a mean over `timed_rates`.

    Args:
        library: Holds the kernel.
        device: Runs it.
        config: How often it is run.
        calls: Those of `check_rates`.
        waited_s: Seconds for which this process's threads have waited for a CPU so far.

    Raises:
        WrongResult: A result is not the reference's.
    """
    use_threads(library, calls[0].job.threads)
    kernel = library[ENTRY]
    for call in calls:
        kernel(*call.tensors)
        device.sync()
        fault = call.problem.fault(call.tensors[-1].numpy(), call.job.row.tolerance)
        if fault:
            raise WrongResult(fault)
    timed = calls[-len(timed_rates(calls[-1].job)) :]
    timer = cold_timer(library, device, -(-config.repeat // len(timed)))

    def block() -> list[float]:
        by_rate = [[float(seconds) for seconds in timer(*call.tensors).results] for call in timed]
        return [mean(runs) for runs in zip(*by_rate, strict=True)]

    return list(run_calm_block(block, waited_s))


def cold_timer(library: tvm.runtime.Module, device: tvm.runtime.Device, runs: int) -> Callable[..., Any]:
    """Times so many runs of a kernel one by one, behind an untimed one.

    Before each timed run all buffers but the input leave the caches: in a network, what this kernel reads was written
    by the one before it, while hundreds of megabytes of others' weights have passed since its own were read.
    """
    return library.time_evaluator(ENTRY, device, number=1, repeat=runs, min_repeat_ms=0, f_preproc=_FLUSH)


def evaluate_remotely(
    _session: RPCSession,
    library: tvm.runtime.Module,
    device: tvm.runtime.Device,
    config: EvaluatorConfig,
    calls: list[Call],
) -> list[float]:
    """The same on a board: results are compared here, on what is fetched from there.

    Raises:
        WrongResult: As for `evaluate`.
        TilesRefusedError: The kernel needs tile registers, which the board does not let it use.
    """
    if needs_tiles(calls[-1].job.row):
        ask_for_tiles(library)
    return evaluate(library, device, config, calls, lambda: 0.0)  # nobody tells here what a board's threads wait


def allot(job: Job, rate: float, device: tvm.runtime.Device) -> Call:
    """The buffers of a call at an activation rate, and what has to come out."""
    problem = make_problem(job.workload, job.activity, rate, job.seed)
    arrays = problem.arguments(job.row, job.decisions)
    return Call(job, problem, [tvm.runtime.tensor(array, device=device) for array in arrays])
