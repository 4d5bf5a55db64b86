"""Draw networks, build each, compare it with onnxruntime, and write what failed as small .onnx files.

python -m tests.random_networks --count 10000 --first 0 --jobs 2 --output build/failing
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Lock, Thread, Timer

from tests.random_networks.judge import CRASHES, FAULTS, Verdict

_NETWORKS_A_PROCESS = 50  # TVM keeps what it has compiled
_MOST_SECONDS = 900.0


def main() -> int:
    """Print the counts; 1 if a network is wrong or crashes."""
    arguments = _parser().parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    began = time.monotonic()
    seeds = range(arguments.first, arguments.first + arguments.count)
    for seed, verdict in _verdicts(seeds, arguments.jobs, arguments.output):
        counts[verdict.kind] += 1
        if verdict.kind in FAULTS:
            print(f"network {seed} {verdict.kind}: {verdict.detail}", flush=True)
        elif verdict.detail:
            reasons[f"{verdict.kind}: {verdict.reason}"] += 1
        if counts.total() % 100 == 0:
            print(f"{counts.total()} networks, {time.monotonic() - began:.0f} s: {dict(counts)}", flush=True)
    summary = {
        "first": arguments.first,
        "networks": counts.total(),
        "seconds": round(time.monotonic() - began),
        "verdicts": dict(counts),
        "reasons": dict(reasons.most_common()),
    }
    (arguments.output / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps(summary, indent=1))
    return int(any(counts[kind] for kind in FAULTS))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.random_networks", description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="how many networks")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first; the others follow")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--output", type=Path, default=Path("build/failing"), help="where what failed is written")
    return parser


def _verdicts(seeds: range, jobs: int, folder: Path) -> Iterator[tuple[int, Verdict]]:
    """As they come in."""
    found: Queue[tuple[int, Verdict]] = Queue()
    waiting = iter([seeds[i : i + _NETWORKS_A_PROCESS] for i in range(0, len(seeds), _NETWORKS_A_PROCESS)])
    lock = Lock()

    def work() -> None:
        while True:
            with lock:
                chunk = list(next(waiting, ()))
            if not chunk:
                return
            while chunk:
                chunk = _judge_until_it_dies(chunk, folder, found)

    for _ in range(jobs):
        Thread(target=work, daemon=True).start()
    for _ in seeds:
        yield found.get()


def _judge_until_it_dies(seeds: list[int], folder: Path, found: Queue[tuple[int, Verdict]]) -> list[int]:
    """Judge networks in a process of their own; those that are left when it died, or was killed for its time."""
    command = [sys.executable, "-m", "tests.random_networks.worker", str(folder), *map(str, seeds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    watch = Timer(_MOST_SECONDS, process.kill)
    watch.start()
    left, begun = list(seeds), None
    for line in process.stdout:
        told = json.loads(line)
        begun = told.get("begins", begun)
        if "seed" in told:
            left.remove(told["seed"])
            found.put((told["seed"], Verdict(told["kind"], told["detail"])))
    watch.cancel()
    code = process.wait()
    if left:
        culprit = left[0] if begun is None else begun
        found.put((culprit, Verdict(CRASHES, f"the process ended with {code}")))
        left.remove(culprit)
    return left


if __name__ == "__main__":
    sys.exit(main())
