"""Element-wise functions by their ONNX names, with the treatment of NaN that onnxruntime has: it passes through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from tvm import tirx
from tvm.ir import Expr

from lascompile.workload import Activation


def _f(value: float | str) -> Expr:
    return tirx.const(float(value), "float32")


def at_least(x: Expr, low: float | str) -> Expr:
    """max(x, low), but NaN stays NaN: comparing with it is false, so that x is chosen."""
    return tirx.Select(x < _f(low), _f(low), x)


def at_most(x: Expr, high: float | str) -> Expr:
    """min(x, high), but NaN stays NaN."""
    return tirx.Select(x > _f(high), _f(high), x)


def _clip(x: Expr, low: float | str, high: float | str) -> Expr:
    return at_most(at_least(x, low), high)


def _hard_sigmoid(x: Expr, alpha: float | str, beta: float | str) -> Expr:
    return _clip(x * _f(alpha) + _f(beta), 0.0, 1.0)


def _elu(x: Expr, alpha: float | str) -> Expr:
    return tirx.Select(x < _f(0), _f(alpha) * (tirx.exp(x) - _f(1)), x)


def _selu(x: Expr, alpha: float | str, gamma: float | str) -> Expr:
    return _f(gamma) * tirx.Select(x < _f(0), _f(alpha) * (tirx.exp(x) - _f(1)), x)


def _softplus(x: Expr) -> Expr:
    """log(1 + exp(x)), whose exponential does not overflow."""
    return at_least(x, 0.0) + tirx.log(_f(1) + tirx.exp(-tirx.abs(x)))


ACTIVATIONS: dict[str, Callable[..., Expr]] = {
    "relu": lambda x: at_least(x, 0.0),
    "clip": _clip,
    "leaky_relu": lambda x, alpha: tirx.Select(x < _f(0), _f(alpha) * x, x),
    "sigmoid": lambda x: _f(1) / (_f(1) + tirx.exp(-x)),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5),
    "tanh": tirx.tanh,
    "elu": _elu,
    "selu": _selu,
    "softplus": _softplus,
    "softsign": lambda x: x / (_f(1) + tirx.abs(x)),
    "erf": tirx.erf,
    "neg": lambda x: -x,
    "abs": tirx.abs,
}

BINARY: dict[str, Callable[[Expr, Expr], Expr]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": lambda a, b: a / b,
    "PRelu": lambda a, b: tirx.Select(a < _f(0), a * b, a),
    # NaN in either operand comes out: the first select yields a unless it is larger or smaller than b.
    "Max": lambda a, b: tirx.Select(tirx.isnan(b), b, tirx.Select(a < b, b, a)),
    "Min": lambda a, b: tirx.Select(tirx.isnan(b), b, tirx.Select(a > b, b, a)),
}


def activate(x: Expr, activations: Sequence[Activation]) -> Expr:
    """Apply `activations` to `x`, first to last."""
    return reduce(lambda value, activation: ACTIVATIONS[str(activation[0])](value, *activation[1:]), activations, x)
