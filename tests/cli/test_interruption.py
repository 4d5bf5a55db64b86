"""Ctrl-C: once it is a wish, twice it is an end, and workers never hear of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lascompile.cli.interruption import Interruption

TWICE = """
import os, signal, subprocess, sys, time
from lascompile.cli.interruption import Interruption
with Interruption() as interruption:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(child.pid, flush=True)
    os.killpg(os.getpgrp(), signal.SIGINT)
    while not interruption:
        time.sleep(0.01)
    assert child.poll() is None
    os.killpg(os.getpgrp(), signal.SIGINT)
    time.sleep(600)
"""


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_first_is_a_wish(capsys):
    before = signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with Interruption() as interruption:
        assert not interruption
        os.kill(os.getpid(), signal.SIGINT)
        wait_for(lambda: bool(interruption))
        assert interruption
    assert "Ctrl-C again stops at once" in capsys.readouterr().err
    assert (signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, ())) == before


def test_behind_the_context_it_is_an_exception_again():
    with Interruption():
        pass
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)


def test_the_second_ends_the_process_and_its_workers():
    process = subprocess.Popen([sys.executable, "-c", TWICE], stdout=subprocess.PIPE, text=True, start_new_session=True)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    wait_for(lambda: not _is_alive(int(out)))
    assert not _is_alive(int(out))


def _is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
