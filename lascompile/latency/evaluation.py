"""How well a predictor foretells kernels that it was not fitted to: shapes, rates, granularities held out.

Never by random rows: neighbouring rows of one kernel would answer for each other, and the figure would say nothing of a
network that nobody has measured.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from lascompile.latency.observations import Observation
from lascompile.latency.predictor import Predictor, fit_without_interval, log_ratios
from lascompile.machine import DataSheet

SHORTEST_S = 20e-6
"""Shorter kernels are left out of the figures: what disturbs a measurement is as long as they are."""

SPLITS: dict[str, Callable[[Observation], Hashable]] = {
    "rate": lambda item: item.row.cell.task.activation_rate,
    "granularity": lambda item: item.row.cell.granularity,
    "map size": lambda item: item.call.workload.map_rows,
    "shape": lambda item: item.shape,
    "algorithm": lambda item: item.call.algorithm,
}
"""What is held out together; of rates and granularities only kernels under masks count."""

_OF_MASKS = ("rate", "granularity")


@dataclass(frozen=True)
class Errors:
    """Errors of predictions.

    Attributes:
        kernels: How many there are.
        mape: Mean of |predicted / measured - 1|, in percent.
        rmspe: Root of the mean of its square, in percent.
        within: Share of the kernels, in percent, whose error is below 5, 10, 15 %.
        worst: Largest error in percent.
        tau: Kendall's rank correlation of predicted and measured latencies.
        rho: Spearman's.
    """

    kernels: int
    mape: float
    rmspe: float
    within: tuple[float, float, float]
    worst: float
    tau: float
    rho: float


@dataclass(frozen=True)
class Comparison:
    """One way to hold out.

    Attributes:
        split: What is held out.
        groups: How many parts that made.
        predictor: Errors of the predictor, fitted anew to the rest for each part.
        analytical: Errors of the data sheet alone, which is fitted to nothing.
    """

    split: str
    groups: int
    predictor: Errors
    analytical: Errors


def errors(measured_s: np.ndarray, predicted_s: np.ndarray) -> Errors:
    """Errors of `predicted_s`.

    Raises:
        ValueError: There are fewer than two kernels.
    """
    from scipy.stats import kendalltau, spearmanr

    if len(measured_s) < 2:
        raise ValueError(f"{len(measured_s)} kernels are too few to evaluate by")
    error = 100 * np.abs(predicted_s / measured_s - 1)
    low, middle, high = (float(100 * (error < bound).mean()) for bound in (5, 10, 15))
    return Errors(
        kernels=len(error),
        mape=float(error.mean()),
        rmspe=float(np.sqrt((error**2).mean())),
        within=(low, middle, high),
        worst=float(error.max()),
        tau=float(kendalltau(measured_s, predicted_s).statistic),
        rho=float(spearmanr(measured_s, predicted_s).statistic),
    )


def hold_out(observations: Sequence[Observation], sheet: DataSheet, threads: int, split: str) -> Comparison | None:
    """Fit to all but one part, predict that, and so for each part of `split`; None if there is one part only."""
    of = SPLITS[split]
    counted = [item for item in observations if split not in _OF_MASKS or item.row.cell.granularity is not None]
    parts = sorted({of(item) for item in counted}, key=repr)
    if len(parts) < 2:
        return None
    measured, predicted, plain = [], [], []
    bare = Predictor.from_data_sheet(sheet, threads)
    for part in parts:
        rest = [item for item in observations if of(item) != part]
        held = [item for item in counted if of(item) == part and item.latency_s >= SHORTEST_S]
        if not held:
            continue
        fitted = fit_without_interval(rest, sheet, threads)
        measured += [item.latency_s for item in held]
        predicted += (np.exp(-log_ratios(fitted, held)) * [item.latency_s for item in held]).tolist()
        plain += (np.exp(-log_ratios(bare, held)) * [item.latency_s for item in held]).tolist()
    if len(measured) < 2:
        return None
    truth = np.array(measured)
    return Comparison(split, len(parts), errors(truth, np.array(predicted)), errors(truth, np.array(plain)))


def coverage(observations: Sequence[Observation], sheet: DataSheet, threads: int, folds: int = 5) -> float | None:
    """Share of kernels of held-out shapes, in percent, that lie in the interval which the rest foretold, if any."""
    shapes = list(dict.fromkeys(item.shape for item in observations))
    inside: list[bool] = []
    for fold in range(folds):
        held_shapes = set(shapes[fold::folds])
        rest = [item for item in observations if item.shape not in held_shapes]
        held = [item for item in observations if item.shape in held_shapes and item.latency_s >= SHORTEST_S]
        if not rest or not held:
            continue
        predictions = Predictor.fit(rest, sheet, threads).predict([item.call for item in held])
        inside += [p.low_s <= item.latency_s <= p.high_s for p, item in zip(predictions, held, strict=True)]
    return 100 * float(np.mean(inside)) if inside else None


@dataclass(frozen=True)
class Choices:
    """How good the choices are that follow from predictions.

    Attributes:
        sites: Kernels to choose for.
        right: Share of them, in percent, for which the fastest one was chosen.
        mean_regret: Latency of what was chosen over that of the fastest, minus 1, in percent, on average.
        worst_regret: The largest.
    """

    sites: int
    right: float
    mean_regret: float
    worst_regret: float


def choices(groups: Sequence[Sequence[tuple[float, float]]]) -> Choices | None:
    """What choosing by prediction costs; each group holds (measured, predicted) latencies of what to choose from."""
    real = [group for group in groups if len(group) > 1]
    if not real:
        return None
    regrets = []
    for group in real:
        chosen = min(group, key=lambda pair: pair[1])[0]
        regrets.append(100 * (chosen / min(measured for measured, _ in group) - 1))
    right = 100 * float(np.mean([regret == 0 for regret in regrets]))
    return Choices(len(real), right, float(np.mean(regrets)), max(regrets))


def algorithm_choices(observations: Sequence[Observation], sheet: DataSheet, threads: int) -> Choices | None:
    """Choosing the algorithm of a convolution under a mask, its shape held out."""
    sites: dict[object, dict[str, list[tuple[float, float]]]] = {}
    for shape in dict.fromkeys(item.shape for item in observations):
        held = [item for item in observations if item.shape == shape]
        rest = [item for item in observations if item.shape != shape]
        if not rest or len({item.call.algorithm for item in held}) < 2:
            continue
        logs = log_ratios(fit_without_interval(rest, sheet, threads), held)
        for item, log in zip(held, logs, strict=True):
            cell = item.row.cell
            site = (shape, cell.granularity, cell.task.activation_rate, item.call.workload.epilogue.takes_residual)
            pair = item.latency_s, item.latency_s * float(np.exp(-log))
            sites.setdefault(site, {}).setdefault(item.call.algorithm, []).append(pair)
    # A kernel that was measured twice is one way to choose.
    groups = [[_mean(pairs) for pairs in ways.values()] for ways in sites.values()]
    return choices([group for group in groups if max(measured for measured, _ in group) >= SHORTEST_S])


def _mean(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    measured, predicted = np.mean(pairs, axis=0).tolist()
    return measured, predicted
