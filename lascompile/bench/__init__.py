"""Time an artifact against other runtimes in one process: `bench` runs the race, `BenchReport` has the rows."""

from lascompile.bench.baselines import BASELINES
from lascompile.bench.machine import describe_machine
from lascompile.bench.measure import BenchConfig, bench
from lascompile.bench.report import BenchReport, Ratio, RuntimeRow
from lascompile.bench.timing import RunTimes

__all__ = ["BASELINES", "BenchConfig", "BenchReport", "RunTimes", "Ratio", "RuntimeRow", "bench", "describe_machine"]
