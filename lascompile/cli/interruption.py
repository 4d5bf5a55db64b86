"""Ctrl-C in commands whose worker processes must not be torn down halfway.

TVM's pools of processes may wait for ever when an exception strikes while they start, submit or end. And a terminal
sends Ctrl-C to the workers as well, whose trials would then count as failed. So the signal is blocked, which workers
inherit, and a thread waits for it. Threads of libraries that were there before may still get it: what Python does then
is to write into a pipe, which that thread reads, and to call a handler as soon as the main thread wakes up, which may
be much later. The command asks where it can stop.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rich.console import Console

from lascompile.cli.console import colors

EXIT_CODE = 130
_POLL_S = 0.1


class Interruption:
    """True as soon as the user has pressed Ctrl-C, from entering the context to leaving it.

    A second Ctrl-C ends the process and its workers at once; what is on the disk is whole all the same.
    """

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._mask: set[int] = set()
        self._handler: Any = None
        self._pipe = (-1, -1)
        self._former_pipe = -1
        # Called in the reverse order, each whatever becomes of the others.
        self._end = contextlib.ExitStack()
        self._end.callback(os._exit, EXIT_CODE)
        self._end.callback(_signal_children, signal.SIGKILL)
        self._end.callback(_show_cursor)

    def __bool__(self) -> bool:
        return self._wanted.is_set()

    def __enter__(self) -> Interruption:
        self._pipe = os.pipe()
        for end in self._pipe:
            os.set_blocking(end, False)
        self._former_pipe = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        self._handler = signal.signal(signal.SIGINT, lambda *_: None)
        self._mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}))
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        # None is a handler that was not set by Python, which Python cannot set either.
        signal.signal(signal.SIGINT, signal.SIG_DFL if self._handler is None else self._handler)
        signal.set_wakeup_fd(self._former_pipe)
        for end in self._pipe:
            os.close(end)

    def clean_up_by(self, callback: Callable[[], object]) -> None:
        """Call it before a second Ctrl-C ends the process, which runs nothing else that is due at an end."""
        self._end.callback(callback)

    def _wait(self) -> None:
        while not self._over.is_set():
            if signal.sigtimedwait({signal.SIGINT}, _POLL_S) is not None:
                self._note()
            with contextlib.suppress(BlockingIOError):  # nothing has been written
                for _ in range(os.read(self._pipe[0], 64).count(signal.SIGINT)):
                    self._note()

    def _note(self) -> None:
        if self:
            # Only halted yet: the command would take workers that have died for trials that have failed.
            self._end.callback(_signal_children, signal.SIGSTOP)
            self._end.close()
        self._wanted.set()
        print("stopping when what is running has ended; Ctrl-C again stops at once", file=sys.stderr, flush=True)


def _show_cursor() -> None:
    """A live display has hidden it."""
    Console(stderr=True, color_system=colors()).show_cursor()


def _signal_children(number: signal.Signals) -> None:
    import psutil

    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.send_signal(number)
