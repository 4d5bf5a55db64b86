"""What a build was found to be worth: the error of each block and of the network, and what was changed for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class BlockOutcome:
    """One block, or what is outside of blocks.

    Attributes:
        name: As in the manifest's blocks.
        error: As it is built: the largest difference from onnxruntime over the range of its output, its inputs being
            the same. None if it is not finite.
        algorithms: By convolution, what computes it.
        fallback: Why its convolutions are computed directly, if not by their cost.
    """

    name: str
    error: float | None
    algorithms: Mapping[str, str]
    fallback: str | None = None


@dataclass(frozen=True)
class Verification:
    """All of it, as the manifest holds it.

    Attributes:
        tolerance: Largest error that passes.
        error: Of the network: the largest difference from onnxruntime over the range of an output, in any case.
        cases: Cases in which the network was compared.
        blocks: In topological order, and what is outside of them last.
    """

    tolerance: float
    error: float | None
    cases: int
    blocks: tuple[BlockOutcome, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self)
