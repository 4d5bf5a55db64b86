"""An algorithm that any CPU has, costs nothing, and is as wrong as a test wants it to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from lascompile.plan.algorithms import ALGORITHMS, DIRECT, Algorithm
from lascompile.plan.cost import predict_cycles
from lascompile.schedules.numerics import Numerics
from lascompile.schedules.space import Space

NAME = "fast"
Spoil = Callable[[np.ndarray], np.ndarray]
"""What becomes of the weights [out, in, kh, kw] of a convolution."""


@dataclass(frozen=True)
class FastDecisions:
    """Those of the direct algorithm, under another class."""

    inner: Any


def install(monkeypatch: pytest.MonkeyPatch, spoil: Spoil = lambda weight: weight) -> None:
    """Let builds choose the algorithm `fast` for every convolution, unless the numerics are exact."""
    algorithm = Algorithm(
        name=NAME,
        decisions=FastDecisions,
        numerics=Numerics.FAST,
        features=frozenset(),
        supports=DIRECT.supports,
        decide=lambda *arguments: FastDecisions(DIRECT.decide(*arguments)),
        space=lambda *arguments: Space.around(FastDecisions(DIRECT.decide(*arguments)), {}, lambda _: True),
        schedule=lambda workload, decisions: DIRECT.schedule(workload, decisions.inner),
        pack=lambda weight, workload, decisions: DIRECT.pack(spoil(weight), workload, decisions.inner),
    )

    def cost(chosen: Algorithm, *arguments: Any) -> float:
        return 0.0 if chosen is algorithm else predict_cycles(chosen, *arguments)

    monkeypatch.setitem(ALGORITHMS, NAME, algorithm)
    monkeypatch.setattr("lascompile.plan.choice.predict_cycles", cost)
