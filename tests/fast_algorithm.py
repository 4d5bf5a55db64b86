"""An algorithm that any CPU has, costs nothing, and is as wrong as a test wants it to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from lascompile.schedules.cpu.algorithms import ALGORITHMS, DIRECT
from lascompile.schedules.numerics import Numerics
from lascompile.schedules.space import Space
from lascompile.schedules.work import Work

NAME = "fast"
Spoil = Callable[[np.ndarray], np.ndarray]
"""What becomes of the weights [out, in, kh, kw] of a convolution."""


@dataclass(frozen=True)
class FastDecisions:
    """Those of the direct algorithm, under another class."""

    inner: Any


def install(monkeypatch: pytest.MonkeyPatch, spoil: Spoil = lambda weight: weight) -> None:
    """Let builds choose the algorithm `fast` for every convolution, unless the numerics are exact."""
    algorithm = replace(
        DIRECT,
        name=NAME,
        decisions=FastDecisions,
        numerics=Numerics.FAST,
        decide=lambda *arguments: FastDecisions(DIRECT.decide(*arguments)),
        space=lambda *arguments: Space.around(FastDecisions(DIRECT.decide(*arguments)), {}, lambda _: True),
        schedule=lambda workload, decisions: DIRECT.schedule(workload, decisions.inner),
        pack=lambda weight, workload, decisions: DIRECT.pack(spoil(weight), workload, decisions.inner),
        work=lambda *arguments: Work(engines=1, fmas=0.0, loads=0.0, stalls=0.0, tiles=0.0),
    )
    monkeypatch.setitem(ALGORITHMS, NAME, algorithm)
