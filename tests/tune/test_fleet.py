"""Tuning on a fleet: a real tracker and servers on this machine, one of which dies in the middle."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
from tvm import rpc

from lascompile.cpu import permit_tiles
from lascompile.errors import UsageError
from lascompile.records import RecordStore
from lascompile.schedules.cpu.algorithms import ALGORITHMS, BF16X3
from lascompile.schedules.cpu.tile_permission import TilesRefusedError, ask_for_tiles
from lascompile.target import parse_target
from lascompile.toolchain import link_function
from lascompile.tune.builder import Builder, build_library
from lascompile.tune.fleet import Fleet
from lascompile.tune.progress import Progress
from lascompile.tune.runner import FleetRunner
from lascompile.tune.tuner import Budget, Tuner
from tests.tune.tiny import PACKED, SCATTER, task

TRIALS = 20


@pytest.mark.parametrize(
    ("tracker", "key", "jobs", "message"),
    [
        ("nowhere", "tx2", 1, "--tracker nowhere: write it as HOST:PORT"),
        (":9190", "tx2", 1, "--tracker :9190: write it as HOST:PORT"),
        ("here:99999", "tx2", 1, "--tracker here:99999: write it as HOST:PORT"),
        ("here:9190", None, 1, "--tracker needs --key"),
        ("here:9190", "tx2", 0, "--jobs is 0"),
    ],
)
def test_what_is_no_fleet(tracker, key, jobs, message):
    with pytest.raises(UsageError, match=message):
        Fleet.parse(tracker, key, jobs)


def test_no_tracker():
    with pytest.raises(UsageError, match=r"no tracker answers there .*; start one with python -m tvm.exec.rpc_tracker"):
        Fleet("127.0.0.1", free_port(), "board").check()


@pytest.mark.slow
def test_a_board_dies_and_every_trial_is_accounted_for(tmp_path):
    store = RecordStore(tmp_path)
    with tracker() as fleet, board(fleet) as first, board(fleet):
        wait_for(fleet, 2)
        with pytest.raises(UsageError, match=r"--key jetson: the tracker at .* has no such board \(it has board\)"):
            Fleet(fleet.host, fleet.port, "jetson").check()

        def kill_first(progress: Progress) -> None:
            if progress.trials >= TRIALS // 3 and first.poll() is None:
                os.killpg(first.pid, signal.SIGKILL)
                first.wait()

        progress = tune(store, fleet, kill_first)
    assert first.returncode == -signal.SIGKILL
    records = [item.value for item in store.records()]
    assert progress.trials == len(records) == TRIALS
    assert all(record.latency is not None for record in records)
    assert len({(record.task.workload, *record.decisions.items()) for record in records}) == TRIALS


@pytest.mark.slow
def test_where_all_boards_have_gone_no_kernel_has_failed(tmp_path):
    store = RecordStore(tmp_path)
    with tracker() as fleet, board(fleet) as only:
        wait_for(fleet, 1)

        def kill(progress: Progress) -> None:
            if progress.trials >= 3 and only.poll() is None:
                os.killpg(only.pid, signal.SIGKILL)
                only.wait()

        with pytest.raises(UsageError, match="has no such board"):
            tune(store, fleet, kill)
    records = [item.value for item in store.records()]
    assert 3 <= len(records) < TRIALS and all(record.latency is not None for record in records)


@pytest.mark.slow
def test_a_board_hands_out_tile_registers_if_this_machine_does(tmp_path):
    target = parse_target("llvm -mtriple=x86_64-linux-gnu -mcpu=sapphirerapids")
    decisions = ALGORITHMS[BF16X3.name].space(PACKED, target, 1).default
    build_library(PACKED, BF16X3.name, decisions, target, tmp_path / "trial.so", link_function(target.mtriple))
    with tracker() as fleet, board(fleet):
        wait_for(fleet, 1)
        session = rpc.connect_tracker(fleet.host, fleet.port).request(fleet.key)
        session.upload(bytearray((tmp_path / "trial.so").read_bytes()), "trial.so")
        library = session.load_module("trial.so")
        with nullcontext() if permit_tiles() else pytest.raises(TilesRefusedError):
            ask_for_tiles(library)


def tune(store, fleet, on_progress):
    builder, runner = Builder(parse_target("llvm"), 2), FleetRunner(fleet, repeats=3)
    try:
        tasks = [task(PACKED), task(SCATTER)]
        return Tuner(tasks, store, Budget(TRIALS)).run(builder, runner, on_progress)
    finally:
        runner.close()
        builder.close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def tracker() -> Iterator[Fleet]:
    port = free_port()
    with process("tvm.exec.rpc_tracker", "--port", port, "--port-end", port + 1):
        yield Fleet("127.0.0.1", port, "board", jobs=2, timeout_s=20)


@contextmanager
def board(fleet: Fleet) -> Iterator[subprocess.Popen[bytes]]:
    port = free_port()
    where = ("--port", port, "--port-end", port + 1, "--tracker", f"{fleet.host}:{fleet.port}", "--key", fleet.key)
    with process("tvm.exec.rpc_server", *where) as started:
        yield started


@contextmanager
def process(module: str, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", module, "--host", "127.0.0.1", "--silent", *map(str, arguments)]
    # A group of its own, so that the processes it starts end with it.
    started = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield started
    finally:
        if started.poll() is None:
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()


def wait_for(fleet: Fleet, boards: int) -> None:
    """Until so many have registered."""
    deadline = time.monotonic() + 60
    while True:
        try:
            if fleet.check() >= boards:
                return
        except UsageError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)
