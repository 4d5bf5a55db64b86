"""A plan: which algorithm computes which convolution, where somebody has said so."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lascompile.errors import UsageError
from lascompile.schedules.backends import algorithm_names

SCHEMA = 1
_CLOSE_NAMES = 3
_FORM = 'it should be like {"schema": 1, "convolutions": {"node": "algorithm"}}'
_TYPES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


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
            convolutions = _convolutions(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"plan {path} cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise UsageError(f"plan {path} is no text in UTF-8; {_FORM}") from None
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            fault = error.msg.removesuffix(" at")  # Python goes on with the place
            raise UsageError(f"plan {path} is no JSON, {where}: {fault}; {_FORM}") from None
        except ValueError as error:
            raise UsageError(f"plan {path}: {error}; {_FORM}") from None
        known = algorithm_names()
        if unknown := sorted(set(convolutions.values()) - set(known)):
            allowed = ", ".join(known)
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


def _convolutions(text: str) -> dict[str, str]:
    """Name of the algorithm by name of the node, from a plan as JSON.

    Raises:
        ValueError: It is no JSON (`JSONDecodeError`), or has another form; the message says where.
    """
    stored = json.loads(text)
    if not isinstance(stored, dict):
        raise ValueError(f"it is {_type(stored)}, not an object")
    for key in ("schema", "convolutions"):
        if key not in stored:
            raise ValueError(f'there is no "{key}"')
    if unknown := sorted(stored.keys() - {"schema", "convolutions"}):
        raise ValueError(f'"{unknown[0]}" is not known')
    if stored["schema"] != SCHEMA:
        raise ValueError(f"it has schema {stored['schema']!r}, and this lascompile reads {SCHEMA}")
    convolutions = stored["convolutions"]
    if not isinstance(convolutions, dict):
        raise ValueError(f'"convolutions" is {_type(convolutions)}, not an object')
    for node, algorithm in convolutions.items():
        if not isinstance(algorithm, str):
            raise ValueError(f'the algorithm of "{node}" is {_type(algorithm)}, not a string')
    return convolutions


def _type(value: object) -> str:
    """The JSON type of `value`, with an article."""
    return _TYPES.get(type(value), "a number")
