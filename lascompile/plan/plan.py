"""A plan: which algorithm computes which convolution, where somebody has said so."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lascompile.errors import UsageError
from lascompile.plan.algorithms import ALGORITHMS

SCHEMA = 1
_CLOSE_NAMES = 3


@dataclass(frozen=True)
class Plan:
    """What is said; all other convolutions are left to the choice by cost.

    Attributes:
        algorithms: Name of the algorithm by name of the convolution's ONNX node.
    """

    algorithms: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def read(path: Path) -> Plan:
        """The plan in the JSON file `path`: {"schema": 1, "convolutions": {node: algorithm}}.

        Raises:
            UsageError: It cannot be read, or names an algorithm that does not exist.
        """
        try:
            stored = json.loads(path.read_text())
            convolutions = dict(stored["convolutions"])
            schema = stored["schema"]
        except OSError as error:
            raise UsageError(f"plan {path} cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError) as error:
            form = '{"schema": 1, "convolutions": {"node": "algorithm"}}'
            raise UsageError(f"plan {path} is damaged ({error!r}); it has the form {form}") from None
        if schema != SCHEMA:
            raise UsageError(f"plan {path} has schema {schema!r}, this lascompile reads {SCHEMA}")
        unknown = sorted({str(name) for name in convolutions.values()} - ALGORITHMS.keys())
        if unknown:
            allowed = ", ".join(ALGORITHMS)
            raise UsageError(f"plan {path} names {', '.join(unknown)}, but the algorithms are {allowed}")
        return Plan(convolutions)

    def check_nodes(self, nodes: Collection[str]) -> None:
        """Check that every convolution that the plan speaks of is among `nodes`.

        Raises:
            UsageError: One is not; the message lists names that are close to it.
        """
        for name in self.algorithms:
            if name not in nodes:
                close = difflib.get_close_matches(name, nodes, _CLOSE_NAMES, cutoff=0.3)
                advice = f"close are {', '.join(close)}" if close else "inspect --convolutions lists an artifact's"
                raise UsageError(f"the plan names {name!r}, which is no convolution that can be planned; {advice}")

    def to_json(self) -> str:
        """As it is stored."""
        return json.dumps({"schema": SCHEMA, "convolutions": dict(self.algorithms)}, indent=1)

    def but(self, algorithms: Mapping[str, str]) -> Plan:
        """This plan, with `algorithms` put over it."""
        return Plan({**self.algorithms, **algorithms})
