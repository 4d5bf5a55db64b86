"""Ties among the decisions of masks that are compiled dense, which an artifact neither tells nor takes.

Where its outputs differ, those of them that may fall either way are tried the other way, one after the other,
and each is left as it makes the difference smaller.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from lascompile.frontend.impose import ImposedDecision, impose_decisions
from lascompile.verify.compare import largest_error, relative_margin
from lascompile.verify.reference import Computed, Reference
from lascompile.verify.report import Tie
from lascompile.verify.runs import Run

_MOST_TRIALS = 256


class DenseTies:
    """The model with all decisions imposed, those of the artifact and the others."""

    def __init__(self, model: ir.Model, names: Collection[str], tie_tolerance: float, threads: int) -> None:
        """`model` is canonical; `names` are the decisions that the artifact tells."""
        imposed = impose_decisions(model)
        self._dense = {name: decision for name, decision in imposed.decisions.items() if name not in names}
        self._tie_tolerance = tie_tolerance
        self._reference = Reference(imposed.model, len(model.graph.outputs), threads) if self._dense else None

    def settle(self, run: Run) -> tuple[Computed, list[Tie]] | None:
        """What the model computes where ties fall as they seem to have fallen in `run`, and these ties.

        None if no decision of a dense mask is a tie, or too many are.
        """
        if self._reference is None:
            return None
        given = self._decided(self._reference, run)
        outcome = self._reference.run(run.inputs, given)
        margins = {name: relative_margin(outcome, decision) for name, decision in self._dense.items()}
        ties = self._close(margins)
        if not 0 < len(ties) <= _MOST_TRIALS:
            return None
        fallen: list[Tie] = []
        for tie in ties:
            given[tie.mask] = _flipped(given[tie.mask], tie.element)
            other = self._reference.run(run.inputs, given)
            if _error(run, other) < _error(run, outcome):
                outcome = other
                fallen.append(tie)
            else:
                given[tie.mask] = _flipped(given[tie.mask], tie.element)
        return outcome, fallen

    def _decided(self, reference: Reference, run: Run) -> dict[str, np.ndarray]:
        """The run's decisions, and what the model decides of the others, each under those before it."""
        given = {**run.decisions, **{name: _all_off(decision) for name, decision in self._dense.items()}}
        for name, decision in self._dense.items():
            given[name] = reference.run(run.inputs, given).values[decision.computed]
        return given

    def _close(self, margins: Mapping[str, np.ndarray | None]) -> list[Tie]:
        return [
            Tie(name, int(element), float(margin.flat[element]))
            for name, margin in margins.items()
            if margin is not None
            for element in np.flatnonzero(margin <= self._tie_tolerance)
        ]


def _all_off(decision: ImposedDecision) -> np.ndarray:
    return np.zeros(decision.shape, decision.dtype.numpy())


def _flipped(decision: np.ndarray, element: int) -> np.ndarray:
    other = decision.copy()
    other.flat[element] = not other.flat[element]
    return other


def _error(run: Run, outcome: Computed) -> float:
    """The largest difference of an output; infinite where that is no number."""
    errors = [largest_error(got, expected)[0] for got, expected in zip(run.outputs, outcome.outputs, strict=True)]
    return max((float(np.nan_to_num(error, nan=np.inf)) for error in errors if error is not None), default=0.0)
