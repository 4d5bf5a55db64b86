"""An artifact in a hard life: threads, forks, kills, loads and a full disk, for as long as asked; nothing may go wrong.

    python benchmarks/soak.py --duration 1800            half an hour, on a small LASNet of the zoo
    python benchmarks/soak.py --duration 60 --seed 3 --onnx m.onnx

Each action is done once, then they are drawn at random, by --seed; one thread calls all the time. Every output has to
be the same to the bit as the first one, every child has to end as it should, and an artifact that a killed build was to
replace has to be whole. In the end the process may hold no more threads, files and memory than after one of each.
All files lie in a temporary folder: where this program may mount one, a small file system in memory, which is filled.

Prints how often each action was done; exit code 1 if anything went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from lascompile.bench.resident import held
from lascompile.errors import LascompileError
from lascompile.runtime.artifact import Artifact, load
from lascompile.sample_inputs import natural_inputs

NETWORK = "lasnet_resnet_tiny"
MOST_GROWTH_BYTES = 32 << 20
THREADS = 2

_DISK_BYTES = 256 << 20
_CHILD_S = 60
_PAUSE_S = 0.01


class Soak:
    """The artifact, and what can be done to it. An action raises `AssertionError` where something went wrong."""

    def __init__(self, folder: Path, onnx: Path, bounded: bool, chance: random.Random) -> None:
        self.folder, self.onnx, self.bounded, self.chance = folder, onnx, bounded, chance
        self.place = folder / "m.lasc"
        began = time.monotonic()
        done = self._build()
        if done.returncode != 0:
            raise LascompileError(f"the first build failed: {done.stderr.strip()}")
        self.build_s = time.monotonic() - began
        self.artifact = load(self.place, THREADS)
        self.inputs = natural_inputs(self.artifact.manifest.inputs, 0)
        self.expected = self.artifact.run(*self.inputs)

    def check(self, artifact: Artifact | None = None) -> bool:
        """Whether a call gives what the first one gave."""
        outputs = (artifact or self.artifact).run(*self.inputs)
        return all(np.array_equal(one, other) for one, other in zip(outputs, self.expected, strict=True))

    def actions(self) -> dict[str, Callable[[], None]]:
        """By name; the full disk only where the folder is a file system of its own."""
        named = {
            "calls from 8 threads": self.call_from_threads,
            "100 short-lived threads": self.call_from_short_lived_threads,
            "forked child that calls": self.fork_and_call,
            "child killed in a call": self.kill_in_call,
            "20 loads": self.load_again,
            "build killed": self.kill_build,
        }
        return {**named, "build on a full disk": self.fill_disk} if self.bounded else named

    def call_from_threads(self) -> None:
        """At the same time."""
        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(lambda _: self.check(), range(80))), "outputs differ"

    def call_from_short_lived_threads(self) -> None:
        """One after the other, each a new one."""
        found: list[bool] = []
        for _ in range(100):
            thread = threading.Thread(target=lambda: found.append(self.check()))
            thread.start()
            thread.join()
        assert len(found) == 100 and all(found), "outputs differ"

    def fork_and_call(self) -> None:
        """A child that calls some times and ends."""
        code = self._wait(self._fork(lambda: all(self.check() for _ in range(5))))
        assert code == 0, f"the child ended with {code}"

    def kill_in_call(self) -> None:
        """A child that calls until it is killed."""
        child = self._fork(lambda: all(iter(self.check, False)))
        time.sleep(self.chance.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        code = self._wait(child)
        assert code == -signal.SIGKILL, f"the child ended with {code} before it was killed"

    def load_again(self) -> None:
        """Load, call and drop."""
        for _ in range(20):
            assert self.check(load(self.place, self.chance.choice((1, 2, 3)))), "outputs differ"

    def kill_build(self) -> None:
        """A build over the artifact is killed at some moment; the old one or the new one is there."""
        with subprocess.Popen(self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as build:
            with contextlib.suppress(subprocess.TimeoutExpired):
                build.wait(self.chance.uniform(0, 1.1 * self.build_s))
            build.kill()
        assert self.check(load(self.place, THREADS)), "outputs differ"
        self._remove_left()

    def fill_disk(self) -> None:
        """A build that finds no room fails with exit code 1, and leaves the artifact alone."""
        filler = self.folder / "filler"
        with filler.open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
                file.flush()
        try:
            done = self._build()
            assert done.returncode == 1, f"exit code {done.returncode}: {done.stderr.strip()}"
            assert self.check(load(self.place, THREADS)), "outputs differ"
        finally:
            filler.unlink()
            self._remove_left()

    def _command(self) -> list[str]:
        threads = str(THREADS)
        return [
            *(sys.executable, "-m", "lascompile", "build", str(self.onnx), "-o", str(self.place)),
            *("--threads", threads, "--no-records"),
        ]

    def _build(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._command(), capture_output=True, text=True, check=False)

    def _remove_left(self) -> None:
        """What killed builds could not remove."""
        for path in self.folder.glob(f".{self.place.name}.*"):
            shutil.rmtree(path, ignore_errors=True)

    def _fork(self, call: Callable[[], bool]) -> int:
        child = os.fork()
        if child == 0:
            signal.alarm(_CHILD_S)  # it may hang
            try:
                os._exit(0 if call() else 1)
            except BaseException:
                os._exit(2)
        return child

    def _wait(self, child: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs for the duration, and reports."""
    args = _parser().parse_args(argv)
    chance = random.Random(args.seed)
    with _folder() as (folder, bounded):
        try:
            onnx = args.onnx or _export(folder)
            soak = Soak(folder, onnx, bounded, chance)
        except LascompileError as error:
            print(f"{Path(__file__).name}: error: {error}", file=sys.stderr)
            return error.exit_code
        done, faults = run(soak, args.duration, chance)
    for name in soak.actions():
        print(f"{done[name]:6d}  {name}")
    for fault in faults:
        print(f"fault: {fault}")
    if not bounded:
        print("the full disk was left out: this program may not mount a file system")
    print(f"{sum(done.values())} actions in {args.duration:g} s, seed {args.seed}: {len(faults)} faults")
    return 1 if faults else 0


def run(soak: Soak, duration_s: float, chance: random.Random) -> tuple[Counter[str], list[str]]:
    """Actions until the time is over, at least each once; how often each, and what went wrong."""
    actions, done, faults = soak.actions(), Counter[str](), list[str]()
    began = time.monotonic()
    ends = threading.Event()

    def do(name: str) -> None:
        try:
            actions[name]()
        except (AssertionError, LascompileError, OSError) as error:
            faults.append(f"{name}: {error}")
        done[name] += 1

    def call_all_the_time() -> None:
        while not ends.is_set():
            if not soak.check():
                faults.append("a steady caller: outputs differ")
            ends.wait(_PAUSE_S)

    steady = threading.Thread(target=call_all_the_time)
    steady.start()
    try:
        for name in actions:
            do(name)
        gc.collect()
        before = held()
        while time.monotonic() - began < duration_s:
            do(chance.choice(list(actions)))
    finally:
        ends.set()
        steady.join()
    gc.collect()
    more = held() - before
    if more.threads > 0 or more.files > 0 or more.resident_bytes > MOST_GROWTH_BYTES:
        faults.append(f"it holds more: {more.threads} threads, {more.files} files, {more.resident_bytes >> 20} MiB")
    return done, faults


def _export(folder: Path) -> Path:
    path = folder / "m.onnx"
    command = [sys.executable, "-m", "lascompile", "export", NETWORK, "--activation-rate", "0.5", "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LascompileError(f"export failed: {done.stderr.strip()}")
    return path


@contextlib.contextmanager
def _folder() -> Iterator[tuple[Path, bool]]:
    """An empty folder, and whether it is a small file system of its own."""
    with tempfile.TemporaryDirectory(prefix="soak_") as name:
        folder = Path(name).resolve()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "soak", name]
        bounded = shutil.which("mount") is not None
        bounded = bounded and subprocess.run(mount, capture_output=True, check=False).returncode == 0
        try:
            yield folder, bounded
        finally:
            if bounded:
                subprocess.run(["umount", "--lazy", name], check=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--duration", type=float, default=1800, metavar="SECONDS", help="default: half an hour")
    parser.add_argument("--seed", type=int, default=0, help="of the actions (default: 0)")
    parser.add_argument("--onnx", type=Path, metavar="FILE", help=f"network to build (default: {NETWORK})")
    return parser


if __name__ == "__main__":
    sys.exit(main())
