"""How close the tuner comes to the best of a whole space: three kernels of a LASNet-ResNet-50, every point measured.

    python benchmarks/tuning_quality.py                 about twenty minutes on two cores, on an idle machine
    python benchmarks/tuning_quality.py --points 100    smaller spaces

A whole space has up to ten thousand points, of which each takes a second. So some values of each field are left out,
until a few hundred points remain; the search gets the same space. Every point is built and measured as by `lascompile
tune`. Then the search runs with several seeds and is told the latencies that the sweep found, so that what is compared
is the search, not the noise of two measurements. Tried points are on record: a second call goes on where the first
one ended.

Writes tuning_quality.json and tuning_quality.md into benchmarks/results (--output).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lascompile.bench.result_files import write_results
from lascompile.cpu import cpu_model, physical_cores
from lascompile.errors import LascompileError
from lascompile.plan.known import known_algorithms
from lascompile.records import Record, RecordStore, Versions
from lascompile.schedules.numerics import Numerics
from lascompile.schedules.space import Space
from lascompile.target import parse_target
from lascompile.tune.builder import Builder
from lascompile.tune.runner import LocalRunner
from lascompile.tune.search import CostModel, Search, Tried
from lascompile.tune.tasks import Setting, TuningTask, tasks_of_zoo
from lascompile.tune.tuner import job_of

KERNELS = ("gather_conv3x3 64→64 ×3136", "masked_conv1x1 1024→256 ×196", "masked_conv1x1_scatter_add 512→2048 ×49")
TRIALS = 64
ROUND = 8
SEEDS = (0, 1, 2, 3, 4)
WANTED = 0.95

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """What came out for a kernel.

    Attributes:
        kernel: The task's name.
        points: Of the space.
        default_s: Latency of the default decisions.
        best_s: The lowest of all.
        found_s: By seed, the lowest that the search found.
    """

    kernel: str
    points: int
    default_s: float
    best_s: float
    found_s: tuple[float, ...]

    @property
    def reached(self) -> tuple[float, ...]:
        """By seed, the best over what the search found: 1 is perfect."""
        return tuple(self.best_s / found for found in self.found_s)


def thin(space: Space, points: int) -> Space:
    """`space` with every second value left out, of the longest lists first, until it has at most `points`."""
    values = dict(space.values)
    while sum(1 for _ in replace(space, values=values)) > points:
        halves = {name: _every_second(given, getattr(space.default, name)) for name, given in values.items()}
        shrinking = [name for name, half in halves.items() if len(half) < len(values[name])]
        if not shrinking:
            break
        longest = max(shrinking, key=lambda name: len(values[name]))
        values[longest] = halves[longest]
    return replace(space, values=values)


def _every_second(values: tuple[Any, ...], default: Any) -> tuple[Any, ...]:
    return tuple(value for place, value in enumerate(values) if place % 2 == 0 or value == default)


def thinned(task: TuningTask, points: int) -> TuningTask:
    """`task` whose space is thinned."""
    algorithm = task.algorithm
    thinner = replace(algorithm, space=lambda *given: thin(algorithm.space(*given), points))
    return replace(task, algorithm=thinner)


def kernels(setting: Setting) -> Iterator[TuningTask]:
    """The tasks named in KERNELS."""
    tasks = tasks_of_zoo("lasnet_resnet50", setting)
    for name in KERNELS:
        yield next(task for task in tasks if task.name == f"{name} direct")


def sweep(task: TuningTask, store: RecordStore, say: Any) -> dict[Any, float]:
    """The latency of every point that works, those on record and those that are measured now."""
    algorithm = task.algorithm
    known = known_algorithms(task.workload, task.setting.target.kind, [algorithm.name])
    space = list(algorithm.space(task.workload, task.setting.target, task.setting.threads))
    found = {
        algorithm.decisions(**record.decisions): record for record in store.trials(task.record_task, known)
    }
    left = [point for point in space if point not in found]
    builder, runner = Builder(task.setting.target, physical_cores()), LocalRunner()
    try:
        for first in range(0, len(left), ROUND):
            say(f"{task.name}: {len(space) - len(left) + first} of {len(space)} points")
            points = left[first : first + ROUND]
            built = builder.build([job_of(task, point) for point in points])
            ready = [(point, one.job, one.library) for point, one in zip(points, built, strict=True) if one.library]
            for position, outcome in runner.measure([(job, library) for _, job, library in ready]):
                record = Record(
                    task.record_task,
                    algorithm.name,
                    known[algorithm.name].definition,
                    asdict(ready[position][0]),
                    Versions.installed(),
                    outcome.latency,
                    outcome.failure,
                )
                store.append(record)
                found[ready[position][0]] = record
    finally:
        builder.close()
        runner.close()
    timed = {point: found[point].latency for point in space if point in found}
    return {point: latency.median_s for point, latency in timed.items() if latency is not None}


def search(task: TuningTask, latencies: Mapping[Any, float], seed: int, trials: int = TRIALS) -> float:
    """The lowest latency that a search finds, told those of the sweep."""
    one = Search(task, CostModel(seed), [], seed)
    made: list[Tried] = []
    while len(made) < trials and (proposed := one.propose(min(ROUND, trials - len(made)))):
        measured = [Tried(point, latencies.get(point)) for point in proposed]
        one.learn(measured)
        made += measured
    return min(item.latency_s for item in made if item.latency_s is not None)


def quality(task: TuningTask, latencies: Mapping[Any, float], seeds: Sequence[int] = SEEDS) -> Row:
    """Searches compared with the best of a sweep."""
    default = task.algorithm.space(task.workload, task.setting.target, task.setting.threads).default
    found = tuple(search(task, latencies, seed) for seed in seeds)
    return Row(task.name, len(latencies), latencies[default], min(latencies.values()), found)


def write(rows: Sequence[Row], output: Path) -> None:
    """The table, for people and for machines."""
    lines = [
        f"{TRIALS} trials; share of the best of all points, over {len(SEEDS)} seeds. {cpu_model()}.",
        "",
        "| kernel | points | default µs | best µs | median | worst seed |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        times = f"{row.default_s * 1e6:.1f} | {row.best_s * 1e6:.1f}"
        reached = f"{statistics.median(row.reached):.3f} | {min(row.reached):.3f}"
        lines.append(f"| {row.kernel} | {row.points} | {times} | {reached} |")
    output.mkdir(parents=True, exist_ok=True)
    write_results(output, "tuning_quality", [asdict(row) for row in rows], "\n".join(lines) + "\n")
    print("\n".join(lines))


def main() -> int:
    """Sweep, search, compare; 1 if a kernel's median search misses what is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=400, help="of a space, at most (default: 400)")
    parser.add_argument("--records", type=Path, default=Path(tempfile.gettempdir()) / "lascompile-tuning-quality")
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()
    setting = Setting(parse_target("llvm"), physical_cores(), cpu_model(), 0.5, Numerics.EXACT)
    store = RecordStore(args.records)
    rows = []
    for task in kernels(setting):
        small = thinned(task, args.points)
        rows.append(quality(small, sweep(small, store, lambda line: print(line, file=sys.stderr))))
    write(rows, args.output)
    return int(any(statistics.median(row.reached) < WANTED for row in rows))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LascompileError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
