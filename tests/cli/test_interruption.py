"""Ctrl-C: once it is a wish, twice it is an end, and workers never hear of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lascompile.cli.interruption import Interruption


@pytest.fixture(autouse=True)
def default_handler():
    """Where the tests were started with SIGINT ignored, as in the background of a shell, Python has set none."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


TWICE = """
import os, signal, subprocess, sys, time
from lascompile.cli.interruption import Interruption
with Interruption() as interruption:
    interruption.clean_up_by(lambda: os.rmdir(sys.argv[1]))
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


def test_a_thread_that_was_there_before_may_get_it():
    """While the main thread, in which Python would call a handler, waits for something else."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        with Interruption() as interruption:
            assert thread.ident is not None
            signal.pthread_kill(thread.ident, signal.SIGINT)
            assert ask_for(interruption._wanted)
    finally:
        over.set()
        thread.join()


def ask_for(event):
    """Waits in C, without a look at signals."""
    lock = threading.Lock()
    lock.acquire()
    threading.Thread(target=lambda: (event.wait(30), lock.release()), daemon=True).start()
    lock.acquire()
    return event.is_set()


def test_a_handler_that_python_has_not_set_is_not_restored(monkeypatch):
    """`signal.signal` answers None then, and does not take it."""
    interruption = Interruption()
    with interruption:
        monkeypatch.setattr(interruption, "_handler", None)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def test_the_second_ends_the_process_and_its_workers(tmp_path):
    """Behind it there is a cursor again, and no folder of temporary files."""
    folder = tmp_path / "files"
    folder.mkdir()
    master, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", TWICE, folder],
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(terminal)
    out, _ = process.communicate(timeout=120)
    shown = os.read(master, 4096)
    os.close(master)
    assert process.returncode == 130
    assert b"\x1b[?25h" in shown and not folder.exists()
    wait_for(lambda: not _is_alive(int(out)))
    assert not _is_alive(int(out))


def _is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
