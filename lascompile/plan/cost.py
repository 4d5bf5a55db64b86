"""What a kernel costs: one kind of number, whoever says it."""

from __future__ import annotations

from dataclasses import dataclass

PREDICTED, SCALED, RECORD, TABLE = "predicted", "scaled", "record", "table"


@dataclass(frozen=True)
class Cost:
    """Seconds that a kernel takes.

    Attributes:
        seconds: The middle.
        low_s, high_s: What was measured lies between them eight times of ten; what is predicted, nine of ten.
        source: PREDICTED; RECORD or TABLE if it was measured; SCALED from what was measured of another algorithm.
    """

    seconds: float
    low_s: float
    high_s: float
    source: str

    def times(self, factor: float, source: str) -> Cost:
        """So many times as much, by another source."""
        return Cost(self.seconds * factor, self.low_s * factor, self.high_s * factor, source)
