"""A schedule space: for each field of a schedule's decisions the values it may take, and which of them go together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class Space:
    """The decisions that a search may try.

    Attributes:
        decisions: Their class, a dataclass.
        values: Field → the values that it may take, ordered; `default`'s is always among them.
        default: Decisions that are good before anything was measured; the search begins there.
        allows: Whether decisions are `default`, or made of `values` that go together. Never raises, whatever they are.
    """

    decisions: type
    values: Mapping[str, tuple[Any, ...]]
    default: Any
    allows: Callable[[Any], bool]

    @staticmethod
    def around(default: Any, values: Mapping[str, Iterable[Any]], allows: Callable[[Any], bool]) -> Space:
        """The space of `values` and of those of `default`, which is allowed whatever `allows` says.

        `allows` is asked about nothing but `values`, so that it need not expect a width of 0.

        Raises:
            ValueError: There are values for a field that the decisions do not have.
        """
        names = [field.name for field in fields(default)]
        if unknown := sorted(values.keys() - set(names)):
            raise ValueError(f"{type(default).__name__} has no field {', '.join(unknown)}, only {', '.join(names)}")
        # A field without values of its own is not searched.
        with_default = {name: tuple(sorted({*values.get(name, ()), getattr(default, name)})) for name in names}
        known = [(name, frozenset(given)) for name, given in with_default.items()]

        def allowed(given: Any) -> bool:
            return given == default or (all(getattr(given, name) in values for name, values in known) and allows(given))

        return Space(type(default), with_default, default, allowed)

    def at(self, position: Iterable[int]) -> Any:
        """The decisions whose field i has its `position[i]`-th value."""
        chosen = zip(self.values.items(), position, strict=True)
        return self.decisions(**{name: values[index] for (name, values), index in chosen})

    def position(self, decisions: Any) -> tuple[int, ...] | None:
        """The inverse of `at`; None if the space does not hold `decisions`."""
        if not isinstance(decisions, self.decisions) or not self.allows(decisions):
            return None
        chosen = [(values, getattr(decisions, name)) for name, values in self.values.items()]
        return tuple(values.index(one) for values, one in chosen) if all(one in v for v, one in chosen) else None

    def neighbours(self, decisions: Any, name: str) -> Iterator[Any]:
        """All decisions that are allowed and differ from `decisions`, which the space holds, in the field `name`."""
        for value in self.values[name]:
            changed = replace(decisions, **{name: value})
            if changed != decisions and self.allows(changed):
                yield changed

    def __iter__(self) -> Iterator[Any]:
        """All decisions that are allowed."""
        for position in itertools.product(*(range(len(values)) for values in self.values.values())):
            decisions = self.at(position)
            if self.allows(decisions):
                yield decisions
