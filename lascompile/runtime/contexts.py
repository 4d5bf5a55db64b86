"""What calls need that run at the same time, each its own: the steps of one write where its next ones read."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Context = TypeVar("Context")

_PATIENCE_S = 0.001


class _Waiter(Generic[Context]):
    """A call that found no context."""

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.given: Context | None = None
        self.turn = threading.Lock()
        """Released when there may be a context for it."""
        self.turn.acquire()

    def wake(self) -> None:
        """Let it look again."""
        if self.turn.locked():
            self.turn.release()


class Contexts(Generic[Context]):
    """Lends contexts to calls; who finds none waits.

    More are made only when calls meet, so that a program with one thread has one. The one that came back last is lent
    first: its memory may still lie in caches. A thread that gives one back and calls again at once may have it again,
    which spares switching threads, but not before one that has waited for `_PATIENCE_S`.

    Args:
        make: Makes one.
        most: How many there may be.
    """

    def __init__(self, make: Callable[[], Context], most: int) -> None:
        self._make, self._most = make, most
        self._free = [make()]
        self._made = 1
        self._waiting: deque[_Waiter[Context]] = deque()
        self._lock = threading.Lock()
        _all.add(self)

    def lent(self) -> _Lent[Context]:
        """As a context manager: a context that is nobody else's inside."""
        return _Lent(self)

    @property
    def idle(self) -> Context:
        """The one that the next call will be lent, if none is running."""
        return self._free[-1]

    def forget_lent(self) -> None:
        """In a forked child: threads that were running a call, or waited for one, do not exist here."""
        self._lock = threading.Lock()
        self._waiting.clear()
        self._made = len(self._free)

    def take(self) -> Context:
        """One that is the caller's until `give_back`."""
        waiter: _Waiter[Context] | None = None
        with self._lock:
            if self._free:
                return self._free.pop()
            if self._made < self._most:
                self._made += 1
            else:
                waiter = _Waiter()
                self._waiting.append(waiter)
        return self._make_another() if waiter is None else self._wait(waiter)

    def _make_another(self) -> Context:
        try:
            return self._make()
        except BaseException:
            with self._lock:
                self._made -= 1
                if self._waiting:
                    self._waiting[0].wake()
            raise

    def _wait(self, waiter: _Waiter[Context]) -> Context:
        try:
            while True:
                waiter.turn.acquire()
                with self._lock:
                    if waiter.given is not None:
                        return waiter.given
                    if self._free:
                        self._waiting.remove(waiter)
                        context = self._free.pop()
                        self._wake_first()  # of two that came back before it ran, it alone was told
                        return context
        except BaseException:  # Ctrl-C: what it was given, or would have been, is the next one's
            with self._lock:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
                self._wake_first()
            if waiter.given is not None:
                self.give_back(waiter.given)
            raise

    def _wake_first(self) -> None:
        """Tell who waits longest of what is free; the lock is held."""
        if self._free and self._waiting:
            self._waiting[0].wake()

    def give_back(self, context: Context) -> None:
        """The end of `take`."""
        with self._lock:
            if self._waiting and time.monotonic() - self._waiting[0].since > _PATIENCE_S:
                first = self._waiting.popleft()
                first.given = context
                first.wake()
                return
            self._free.append(context)
            self._wake_first()


class _Lent(Generic[Context]):
    """Written out, since a generator would take as long as a small kernel."""

    __slots__ = ("_contexts", "_context")

    def __init__(self, contexts: Contexts[Context]) -> None:
        self._contexts = contexts

    def __enter__(self) -> Context:
        self._context = self._contexts.take()
        return self._context

    def __exit__(self, *_: object) -> None:
        self._contexts.give_back(self._context)


_all: weakref.WeakSet[Contexts] = weakref.WeakSet()


def _after_fork() -> None:
    for contexts in list(_all):
        contexts.forget_lent()


os.register_at_fork(after_in_child=_after_fork)
