"""Hold an artifact's numbers and decisions against the reference's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lascompile.frontend.impose import ImposedDecision
from lascompile.verify.reference import Computed
from lascompile.verify.report import Tie

TOLERANCE = 1e-4
"""Largest difference of two outputs over the range of the reference's."""

SMALLEST_RANGE = 2.0**-7
"""Of an output, over its largest element: 1e-4 of that is 8e-7, a few units in the last place of float32."""

TIE_TOLERANCE = 2.0**-15
"""A decision may fall either way if its margin is at most this, relative to the size of its logits: the sum
of the absolute values of their terms.

float32 rounds each term by up to 2⁻²⁴ of it, and the terms come out of up to a hundred layers that did so
before. onnxruntime with and without its graph optimisations, which is the same arithmetic in another order,
differs by 2⁻²⁰ on a LASNet-101 of 33 maskers. Five more binary digits are for algorithms that round more, as
Winograd's convolution does.
"""


@dataclass
class Findings:
    """What came of comparing one case; filled as it goes."""

    error: float | None = None
    margin: float | None = None
    ties: list[Tie] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def compare_outputs(
    got: Sequence[np.ndarray],
    most: Sequence[np.ndarray],
    fewest: Sequence[np.ndarray] | None,
    names: Sequence[str],
    tolerance: float,
    found: Findings,
    escaped_have_values: bool = False,
) -> None:
    """Compare outputs number by number, and say in `found` what differs.

    Args:
        got: The artifact's outputs.
        most: The reference's; what is a number here must be that number in `got`.
        fewest: What is NaN here must be NaN in `got` (see `nan_bounds`); None: the same as `most`.
        names: Of the outputs.
        tolerance: Largest difference over the range of the reference.
        found: Gets the largest difference, and a line a failure.
        escaped_have_values: Numbers of `got` where `most` is NaN must be those of `fewest`.
    """
    if len(got) != len(most):
        found.failures.append(f"{len(got)} outputs instead of {len(most)}")
        return
    for name, output, upper, lower in zip(names, got, most, fewest or most, strict=True):
        if output.shape != upper.shape or output.dtype != upper.dtype:
            found.failures.append(
                f"output {name!r} is {output.dtype} {list(output.shape)} instead of {upper.dtype} {list(upper.shape)}"
            )
            continue
        found.failures += _nan_faults(name, output, upper, lower)
        expected = np.where(np.isnan(upper), lower, upper) if escaped_have_values else upper
        error, where = largest_error(output, expected)
        if error is None:
            continue
        found.error = max(found.error or 0.0, error)
        if not error <= tolerance:
            found.failures.append(
                f"output {name!r} differs by {error:.1e} of its range at {list(where)}: "
                f"{output[where]:.7g} instead of {expected[where]:.7g} (allowed: {tolerance:.0e})"
            )


def _nan_faults(name: str, output: np.ndarray, upper: np.ndarray, lower: np.ndarray) -> list[str]:
    lost = int((np.isnan(lower) & ~np.isnan(output)).sum())
    gained = int((np.isnan(output) & ~np.isnan(upper)).sum())
    faults = []
    if lost:
        faults.append(f"output {name!r} has numbers in {lost} places where onnxruntime has NaN")
    if gained:
        faults.append(f"output {name!r} is NaN in {gained} places where onnxruntime has numbers")
    return faults


def scale_of(finite: np.ndarray) -> float:
    """What differences of an output are measured by: its range, but no less than a share of its largest element.

    An output that is nearly constant, as on a constant image, has a range of rounding alone; a constant one has none.
    """
    if not finite.size:
        return 1.0
    size = float(np.abs(finite).max())
    spread = float(np.ptp(finite))
    return max(spread, size * SMALLEST_RANGE) if spread else size or 1.0


def largest_error(output: np.ndarray, expected: np.ndarray) -> tuple[float | None, tuple[int, ...]]:
    """The largest difference over the range of `expected`, and where; None if there is nothing but NaN."""
    missing = np.isnan(output) | np.isnan(expected)
    if missing.all():
        return None, ()
    finite = expected[np.isfinite(expected)].astype(np.float64)
    scale = scale_of(finite)
    same = missing | (output == expected)  # infinities of one sign
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(output.astype(np.float64) - expected) / scale)
    where = tuple(int(i) for i in np.unravel_index(int(np.argmax(difference)), difference.shape))
    return float(difference[where]), where


def compare_decisions(
    taken: dict[str, np.ndarray],
    decisions: dict[str, ImposedDecision],
    most: Computed,
    fewest: Computed | None,
    tie_tolerance: float,
    found: Findings,
) -> None:
    """Hold each decision against what the reference would have decided, under the same other decisions.

    Args:
        taken: The artifact's decisions by name, in the model's shapes.
        decisions: What the reference imposed, by name.
        most: The reference's outcome under `taken`.
        fewest: The same where NaN spreads least; None: the same as `most`.
        tie_tolerance: Largest relative margin of a tie.
        found: Gets the smallest margin, the ties, and a line a failure.
    """
    for name, decision in decisions.items():
        decided = most.values[decision.computed] != 0
        disagrees = ((taken[name] != 0) != decided) & _claimed(decision, most, fewest)
        margin = relative_margin(most, decision)
        if margin is not None:
            _compare_closely(name, disagrees, margin, tie_tolerance, found)
        elif disagrees.any():
            found.failures.append(
                f"mask {name!r} decides otherwise in {disagrees.sum()} of {disagrees.size} places, and how "
                "close those decisions are cannot be derived from the graph"
            )


def _compare_closely(
    name: str, disagrees: np.ndarray, margin: np.ndarray, tie_tolerance: float, found: Findings
) -> None:
    if np.isfinite(margin).any():
        smallest = float(margin[np.isfinite(margin)].min())
        found.margin = smallest if found.margin is None else min(found.margin, smallest)
    close = margin <= tie_tolerance
    found.ties += [Tie(name, int(i), float(margin.flat[i])) for i in np.flatnonzero(disagrees & close)]
    wrong = disagrees & ~close
    if wrong.any():
        margins = margin[wrong]
        reach = "logits of NaN" if np.isnan(margins).all() else f"margins up to {np.nanmax(margins):.1e} of the logits"
        found.failures.append(
            f"mask {name!r} decides otherwise in {wrong.sum()} of {wrong.size} places, with {reach} "
            f"(a tie: {tie_tolerance:.1e})"
        )


def relative_margin(outcome: Computed, decision: ImposedDecision) -> np.ndarray | None:
    """How far each decision is from its opposite, over the size of its logits; None where not known."""
    if decision.margin is None or decision.size is None:
        return None
    distance = np.abs(outcome.values[decision.margin])
    size = np.broadcast_to(outcome.values[decision.size], distance.shape)
    # Logits that are all zero are a tie.
    return np.where(distance == 0, 0.0, np.divide(distance, size, out=np.full_like(distance, np.inf), where=size != 0))


def _claimed(decision: ImposedDecision, most: Computed, fewest: Computed | None) -> np.ndarray:
    """Decisions that ONNX defines: those on which both bounds of NaN agree."""
    decided = most.values[decision.computed] != 0
    if fewest is None:
        return np.ones(decided.shape, bool)
    same = decided == (fewest.values[decision.computed] != 0)
    if decision.margin is None:
        return same
    most_nan, fewest_nan = (np.isnan(outcome.values[decision.margin]) for outcome in (most, fewest))
    return same & (most_nan == fewest_nan if decision.decides_nan else ~most_nan)
