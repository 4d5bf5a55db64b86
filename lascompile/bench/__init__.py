"""Time an artifact against other runtimes in one process: `bench` runs the race, `BenchReport` has the rows."""

from lascompile.bench.baselines import BASELINES
from lascompile.bench.machine import describe_machine
from lascompile.bench.measure import BenchConfig, bench
from lascompile.bench.report import BenchReport, Ratio, Row
from lascompile.bench.timing import Latency

__all__ = ["BASELINES", "BenchConfig", "BenchReport", "Latency", "Ratio", "Row", "bench", "describe_machine"]
