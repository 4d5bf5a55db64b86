"""What a verification found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1


@dataclass(frozen=True)
class Tie:
    """A decision that falls either way within float32 rounding, and fell the other way in the artifact.

    Attributes:
        mask: Name of the decision.
        element: Its place in the decision, counted in row-major order.
        margin: How far onnxruntime was from deciding likewise, relative to the size of the logits.
    """

    mask: str
    element: int
    margin: float


@dataclass(frozen=True)
class CaseResult:
    """One input, under the artifact's own decisions or under forced ones.

    Attributes:
        name: What was run.
        kind: "natural", "random", "constant", "nan", "forced" (masks) or "file" (the file against the
            reference).
        error: The largest difference from onnxruntime over the range of its output; None where nothing could
            be compared.
        margin: The smallest decision margin, relative to the size of the logits; None without decisions.
        activation_rates: Share of the pixels that each mask switched on.
        ties: Decisions on which the two legitimately disagree.
        failures: What is wrong, a line each.
    """

    name: str
    kind: str
    error: float | None = None
    margin: float | None = None
    activation_rates: dict[str, float] = field(default_factory=dict)
    ties: list[Tie] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """True if nothing is wrong."""
        return not self.failures

    @property
    def activation_rate(self) -> float | None:
        """Mean over the masks."""
        rates = self.activation_rates.values()
        return sum(rates) / len(rates) if rates else None


@dataclass(frozen=True)
class VerifyReport:
    """All cases of a verification.

    Attributes:
        artifact: Its path or name.
        onnx: The file it was compared with.
        tolerance: Largest relative error that passes.
        tie_tolerance: Largest relative margin of a tie.
        cases: In the order in which they ran.
        notes: What could not be checked, a line each.
    """

    artifact: str
    onnx: str
    tolerance: float
    tie_tolerance: float
    cases: list[CaseResult]
    notes: list[str]

    @property
    def passed(self) -> bool:
        """True if every case passed."""
        return all(case.passed for case in self.cases)

    @property
    def error(self) -> float | None:
        """The largest relative error of all cases."""
        return max((case.error for case in self.cases if case.error is not None), default=None)

    @property
    def margin(self) -> float | None:
        """The smallest decision margin of all cases."""
        return min((case.margin for case in self.cases if case.margin is not None), default=None)

    @property
    def ties(self) -> int:
        """Decisions on which the two legitimately disagree."""
        return sum(len(case.ties) for case in self.cases)

    def failures(self) -> list[str]:
        """Every failure with the case it belongs to."""
        return [f"{case.name}: {failure}" for case in self.cases for failure in case.failures]

    def to_json(self) -> dict[str, Any]:
        """The report as JSON types."""
        cases = [
            {**asdict(case), "activation_rate": case.activation_rate, "passed": case.passed} for case in self.cases
        ]
        return {
            "schema": SCHEMA,
            **asdict(self),
            "cases": cases,
            "error": self.error,
            "margin": self.margin,
            "ties": self.ties,
            "passed": self.passed,
        }
