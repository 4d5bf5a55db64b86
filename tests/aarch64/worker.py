"""Runs inside the emulated machine: loads an artifact, and calls its methods as standard input asks.

A request is a pickled (method, args, kwargs), an answer on standard output a pickled (result, exception). The first
answer comes without a request, when the artifact is loaded.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from lascompile.runtime.artifact import load


def main(path: str, threads: str) -> None:
    """Answer until the requests end."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed shall not lie between the answers
    try:
        artifact = load(Path(path), int(threads))
    except Exception as error:
        send(answers, None, error)
        return
    send(answers, None)
    for method, args, kwargs in requests():
        try:
            result = getattr(artifact, method)(*args, **kwargs)
        except Exception as error:
            send(answers, None, error)
        else:
            send(answers, result)


def requests() -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """Those on standard input, until it is closed."""
    while True:
        try:
            yield pickle.load(sys.stdin.buffer)
        except EOFError:
            return


def send(answers: BinaryIO, result: Any, error: Exception | None = None) -> None:
    """One answer, whole or not at all."""
    answers.write(pickle.dumps((result, error)))
    answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
