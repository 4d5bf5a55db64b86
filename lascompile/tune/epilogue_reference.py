"""What an epilogue makes of results, in float64: a second time, since a reference owes nothing to what it checks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lascompile.workload import Activation, Epilogue


def finished(
    epilogue: Epilogue, results: np.ndarray, residual: np.ndarray | float, is_on: np.ndarray | None
) -> np.ndarray:
    """`epilogue` of `results` [rows, channels]; `residual` and `is_on` have the same shape.

    Args:
        epilogue: What is done.
        results: Sums and bias.
        residual: What is added, or taken where a gate is shut; 0 where there is none.
        is_on: Where gates let results pass; None where there are no gates.
    """
    results = _activate(results, epilogue.before)
    if is_on is not None:
        results = np.where(is_on, results, residual if epilogue.otherwise else 0.0)
    if epilogue.add:
        results = results + residual
    return _activate(results, epilogue.after)


def _activate(values: np.ndarray, activations: tuple[Activation, ...]) -> np.ndarray:
    for name, *parameters in activations:
        values = ACTIVATIONS[str(name)](values, *parameters)
    return values


def _hard_sigmoid(x: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    return np.clip(alpha * x + beta, 0.0, 1.0)


ACTIVATIONS: dict[str, Callable[..., np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "clip": np.clip,
    "leaky_relu": lambda x, alpha: np.where(x < 0, alpha * x, x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5),
    "tanh": np.tanh,
    "elu": lambda x, alpha: np.where(x < 0, alpha * np.expm1(x), x),
    "selu": lambda x, alpha, gamma: gamma * np.where(x < 0, alpha * np.expm1(x), x),
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "erf": np.vectorize(math.erf),
    "neg": np.negative,
    "abs": np.abs,
}
"""The functions of `lascompile.kernels.activation`."""
