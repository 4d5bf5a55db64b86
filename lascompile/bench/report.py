"""What a race between an artifact and other runtimes came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lascompile.bench.timing import RunTimes

SCHEMA = 1

UNSTABLE = 0.025
"""A coefficient of variation above this says that something else took the machine's time (trtexec's
limit)."""


@dataclass(frozen=True)
class Ratio:
    """The artifact's latency over a baseline's, round by round; below 1 the artifact is faster.

    Attributes:
        median: Of the rounds' ratios, each of two medians that were measured within the same seconds.
        q1, q3: Their quartiles.
    """

    median: float
    q1: float
    q3: float


@dataclass(frozen=True)
class RuntimeRow:
    """One contestant.

    Attributes:
        runtime: "lascompile", a baseline, or the name of another artifact.
        network: "artifact", "static" (the same network without masks) or "dynamic" (the file as it is).
        latency: None where it did not run.
        throughput_per_s: Calls in a second, of all clients together; the median of the rounds.
        ratio: The artifact's latency over this one's; None for the artifact itself.
        note: Why it did not run, or what to think of the numbers.
    """

    runtime: str
    network: str
    latency: RunTimes | None = None
    throughput_per_s: float | None = None
    ratio: Ratio | None = None
    note: str = ""

    @property
    def name(self) -> str:
        """Runtime and network in words."""
        return self.runtime if self.network == "artifact" else f"{self.runtime}, {self.network}"


@dataclass(frozen=True)
class BenchReport:
    """The rows, and what they were measured under.

    Attributes:
        onnx: The name of the model's file.
        inputs: Shapes by name.
        source: Where the inputs come from.
        machine: CPU, cores, threads, versions.
        rows: The artifact first, then those that it was timed against.
        activation_rates: Share of the pixels that each mask switched on, on these inputs.
        fastest_static: Runtime of the fastest static row; None without one.
        clients: Threads that called each contestant at the same time.
        warnings: What makes the numbers doubtful.
    """

    onnx: str
    inputs: dict[str, list[int]]
    source: str
    machine: dict[str, Any]
    rows: list[RuntimeRow]
    activation_rates: dict[str, float]
    fastest_static: str | None
    warnings: list[str]
    clients: int = 1

    @property
    def activation_rate(self) -> float | None:
        """Mean over the masks."""
        rates = self.activation_rates.values()
        return sum(rates) / len(rates) if rates else None

    @property
    def artifact(self) -> RunTimes:
        """The artifact's own latency."""
        latency = self.rows[0].latency
        assert latency is not None
        return latency

    @property
    def ratio(self) -> Ratio | None:
        """The artifact's latency over that of the fastest static baseline."""
        return next(
            (row.ratio for row in self.rows if (row.runtime, row.network) == (self.fastest_static, "static")), None
        )

    @property
    def others(self) -> list[RuntimeRow]:
        """The other artifacts."""
        return [row for row in self.rows[1:] if row.network == "artifact"]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {
            "schema": SCHEMA,
            **asdict(self),
            "activation_rate": self.activation_rate,
            "ratio": None if self.ratio is None else asdict(self.ratio),
        }
