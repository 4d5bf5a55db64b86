"""Boards that measure: a tracker knows who is there under which key."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from tvm.s_tir import meta_schedule as ms

from lascompile.errors import UsageError

_ANSWERS_WITHIN_S = 5.0


@dataclass(frozen=True)
class Fleet:
    """Where boards are found.

    Attributes:
        host: Of the tracker.
        port: Of the tracker.
        key: Under which the boards have registered.
        jobs: Boards that are used at a time.
        timeout_s: Seconds that a trial may take on a board.
    """

    host: str
    port: int
    key: str
    jobs: int = 1
    timeout_s: int = 30

    @staticmethod
    def parse(tracker: str, key: str | None, jobs: int = 1) -> Fleet:
        """The fleet behind `HOST:PORT`.

        Raises:
            UsageError: That is no address, or the key is missing.
        """
        host, _, port = tracker.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 65536):
            raise UsageError(f"--tracker {tracker}: write it as HOST:PORT, as in 192.168.1.2:9190")
        if not key:
            raise UsageError("--tracker needs --key, the name under which the boards have registered")
        if jobs < 1:
            raise UsageError(f"--jobs is {jobs}, but at least 1 is needed")
        return Fleet(host, int(port), key, jobs)

    def config(self) -> ms.runner.RPCConfig:
        """As MetaSchedule takes it."""
        return ms.runner.RPCConfig(self.host, self.port, self.key, session_timeout_sec=self.timeout_s)

    def check(self) -> int:
        """How many boards are registered under the key.

        Raises:
            UsageError: The tracker does not answer, or knows no such board.
        """
        from tvm import rpc

        where = f"{self.host}:{self.port}"
        try:
            socket.create_connection((self.host, self.port), _ANSWERS_WITHIN_S).close()
            summary = rpc.connect_tracker(self.host, self.port).summary()
        except (OSError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise UsageError(
                f"--tracker {where}: no tracker answers there ({reason}); "
                "start one with python -m tvm.exec.rpc_tracker"
            ) from None
        keys = [str(server["key"]).removeprefix("server:") for server in summary["server_info"]]
        if self.key not in keys:
            there = f"it has {', '.join(sorted(set(keys)))}" if keys else "no board has registered"
            raise UsageError(f"--key {self.key}: the tracker at {where} has no such board ({there})")
        return keys.count(self.key)
