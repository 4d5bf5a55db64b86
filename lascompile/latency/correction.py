"""What measured kernels teach beyond the analytical model: gradient-boosted trees on the logarithm of the ratio.

A correction must never do harm: its strength is what grouped cross-validation over shapes found best, which is zero
where trees do not foretell shapes that they have not seen; it is bounded; and outside of what it was fitted to it
fades, so that the physics alone speaks there.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lascompile.latency.features import FEATURES, MONOTONE, matrix
from lascompile.schedules.work import Work

_TREES, _DEPTH, _RATE = 80, 3, 0.06
_PARAMS = {
    "max_depth": _DEPTH,
    "eta": _RATE,
    "lambda": 5.0,
    "min_child_weight": 4,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "monotone_constraints": str(MONOTONE).replace(" ", ""),
    "nthread": 1,
    "seed": 0,
}
_STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
_BOUND = 0.35
"""Of the logarithm: a kernel takes from 0.70 to 1.42 of what the physics says."""

_MARGIN = 0.05
"""Share of a feature's range by which a kernel may lie outside before the correction fades to nothing."""

_FOLDS = 8


@dataclass(frozen=True)
class Correction:
    """A fitted correction.

    Attributes:
        trees: xgboost's model as JSON; empty for none.
        strength: Factor on what the trees say, 0 to 1.
        lowest, highest: Range of each feature in what it was fitted to.
    """

    trees: str
    strength: float
    lowest: tuple[float, ...]
    highest: tuple[float, ...]

    def logs(self, works: Sequence[Work]) -> np.ndarray:
        """What is added to the logarithm of each prediction."""
        return self.strength * self._raw(matrix(works)) * self.trust(works)

    def trust(self, works: Sequence[Work]) -> np.ndarray:
        """1 for kernels inside of what it was fitted to, 0 for those that lie outside by the margin or more."""
        table = matrix(works)
        low, high = np.array(self.lowest), np.array(self.highest)
        margin = _MARGIN * np.maximum(high - low, 1.0)
        outside = np.maximum(low - table, table - high).clip(min=0) / margin
        return np.asarray(1 - outside.max(axis=1).clip(max=1))

    def to_dict(self) -> dict[str, Any]:
        """As a file holds it."""
        return {
            "features": list(FEATURES),
            "trees": json.loads(self.trees) if self.trees else None,
            "strength": self.strength,
            "lowest": list(self.lowest),
            "highest": list(self.highest),
        }

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> Correction:
        """The inverse of `to_dict`.

        Raises:
            ValueError: It was fitted to other features.
        """
        if list(stored["features"]) != list(FEATURES):
            raise ValueError("the correction was fitted to other features than this lascompile has")
        trees = json.dumps(stored["trees"]) if stored["trees"] is not None else ""
        correction = Correction(trees, stored["strength"], tuple(stored["lowest"]), tuple(stored["highest"]))
        if correction.strength and trees:
            correction.check_trees()
        return correction

    def check_trees(self) -> None:
        """Raise ValueError if the trees are none of xgboost's."""
        import xgboost

        try:
            self._raw(np.zeros((1, len(FEATURES))))
        except xgboost.core.XGBoostError:
            raise ValueError("the correction's trees are damaged") from None

    def _raw(self, table: np.ndarray) -> np.ndarray:
        if self.strength == 0 or not self.trees:
            return np.zeros(len(table))
        import xgboost

        said = self._booster.predict(xgboost.DMatrix(table))
        return np.asarray(np.clip(said, -_BOUND, _BOUND), np.float64)

    @cached_property
    def _booster(self) -> Any:
        import xgboost

        booster = xgboost.Booster()
        booster.load_model(bytearray(self.trees.encode()))
        return booster


def fit_correction(works: Sequence[Work], log_ratios: np.ndarray, groups: Sequence[Hashable]) -> Correction:
    """The correction by which kernels follow measured over predicted latency.

    Args:
        works: What each kernel had to do.
        log_ratios: Logarithm of measured over analytical latency.
        groups: Kernels of one group are held out together when the strength is chosen: those of one shape.
    """
    table = matrix(works)
    held_out = np.zeros(len(table))
    for fold in folds(groups, _FOLDS):
        if fold.any() and not fold.all():
            held_out[fold] = _predict(_train(table[~fold], log_ratios[~fold]), table[fold])
    strength = min(_STRENGTHS, key=lambda factor: float(np.abs(log_ratios - factor * held_out).mean()))
    trees = _train(table, log_ratios) if strength else None
    as_json = trees.save_raw("json").decode() if trees is not None else ""
    return Correction(as_json, strength, tuple(table.min(axis=0).tolist()), tuple(table.max(axis=0).tolist()))


def folds(groups: Sequence[Hashable], count: int) -> list[np.ndarray]:
    """For each of `count` folds, which positions it holds; a group is in one fold as a whole."""
    order = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    numbers = np.array([order[group] for group in groups])
    return [numbers % count == fold for fold in range(min(count, len(order)))]


def _train(table: np.ndarray, targets: np.ndarray) -> Any:
    import xgboost

    return xgboost.train(_PARAMS, xgboost.DMatrix(table, targets), _TREES)


def _predict(booster: Any, table: np.ndarray) -> np.ndarray:
    import xgboost

    return np.asarray(np.clip(booster.predict(xgboost.DMatrix(table)), -_BOUND, _BOUND), np.float64)
