"""Other programs that want the CPUs."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

_LOOP = "while True: pass"


class BusyProcesses:
    """Processes that compute without end while they are let; they end with the one that started them."""

    def __init__(self, count: int) -> None:
        parent = f"import ctypes; ctypes.CDLL(None).prctl(1, {signal.SIGKILL})"
        self._processes = [subprocess.Popen([sys.executable, "-c", f"{parent}\n{_LOOP}"]) for _ in range(count)]
        for process in self._processes:
            process.send_signal(signal.SIGSTOP)

    @contextlib.contextmanager
    def running(self, count: int) -> Iterator[None]:
        """So many of them compute inside."""
        chosen = self._processes[:count]
        for process in chosen:
            process.send_signal(signal.SIGCONT)
        try:
            yield
        finally:
            for process in chosen:
                process.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        """Ends them."""
        for process in self._processes:
            process.kill()
            process.wait()
