"""Dataclasses to JSON and back, by their annotations: what comes back is equal, with the same `repr`.

A workload is stored by the name of its class and its fields, so that a new kind of workload needs nothing here.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any

from lascompile.workload import Workload

_FLOAT = "float"
_NOT_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def to_fields(value: Any) -> Any:
    """`value` as JSON types: a dataclass as an object of its fields, a tuple as a list, infinity as {"float": "inf"}.

    Raises:
        TypeError: A value is of another type; NumPy's numbers are, since they would come back as something else.
    """
    if isinstance(value, Workload):
        # The key is for people who search; it is not read back.
        return {"type": type(value).__name__, "key": value.key(), "fields": _fields_of(value)}
    if is_dataclass(value) and not isinstance(value, type):
        return _fields_of(value)
    if isinstance(value, tuple | list):
        return [to_fields(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_fields(item) for key, item in value.items()}
    if type(value) is float and not math.isfinite(value):
        return {_FLOAT: repr(value)}
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be stored")


def _fields_of(value: Any) -> dict[str, Any]:
    return {field.name: to_fields(getattr(value, field.name)) for field in fields(value)}


def from_fields(kind: Any, value: Any, where: str = "", extra: bool = False) -> Any:
    """The value of type `kind` that `to_fields` made `value` of; fields that are missing get their defaults.

    Args:
        kind: A dataclass, or another annotation.
        value: What JSON holds.
        where: Its name, for messages.
        extra: Whether fields that `kind` does not have are left out; else they are an error. In a workload they
            always are: it could be another kernel.

    Raises:
        ValueError: It does not fit; the message names the field.
    """
    if kind is Workload:
        return _workload(value, where)
    if is_dataclass(kind):
        return _dataclass(kind, value, where, extra)
    origin, members = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _union(members, value, where, extra)
    if origin is tuple:
        return _tuple(members, value, where, extra)
    if origin is Mapping:
        return _scalar(dict, value, where)
    return _scalar(origin or kind, value, where)


def from_stored(kind: Any, stored: Mapping[str, Any], schema: int) -> Any:
    """The object of class `kind` in a line of a journal, written by this schema or an older one.

    Raises:
        ValueError: A newer version wrote it, or it does not fit.
    """
    found = stored.get("schema")
    if type(found) is not int or found < 1:
        raise ValueError("it has no schema number")
    if found > schema:
        raise ValueError(f"a newer lascompile wrote it (schema {found}, this one reads up to {schema})")
    return from_fields(kind, dict(stored), extra=True)


def _workload(value: Any, where: str) -> Workload:
    name = value.get("type") if isinstance(value, dict) else None
    kind = next((kind for kind in _subclasses(Workload) if kind.__name__ == name), None)
    if kind is None:
        raise ValueError(f"{_join(where, 'type')} {name!r} is not known")
    workload: Workload = _dataclass(kind, value.get("fields"), str(name), extra=False)
    return workload


def _subclasses(kind: type[Workload]) -> Iterator[type[Workload]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _dataclass(kind: Any, value: Any, where: str, extra: bool) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where or kind.__name__} is no object")
    known = _annotations(kind)
    unknown = sorted(value.keys() - known.keys())
    if unknown and not extra:
        raise ValueError(f"{_join(where, unknown[0])} is not known")
    found = {}
    for name, (annotation, field) in known.items():
        if name in value:
            found[name] = from_fields(annotation, value[name], _join(where, name), extra)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{_join(where, name)} is missing")
    return kind(**found)


@cache
def _annotations(kind: type) -> dict[str, tuple[Any, Field[Any]]]:
    hints = typing.get_type_hints(kind)
    return {field.name: (hints[field.name], field) for field in fields(kind)}


def _union(members: tuple[Any, ...], value: Any, where: str, extra: bool) -> Any:
    for member in members:
        try:
            return from_fields(member, value, where, extra)
        except ValueError as error:
            failed = error
    raise failed


def _tuple(members: tuple[Any, ...], value: Any, where: str, extra: bool) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is no list")
    if members[-1] is ...:
        members = (members[0],) * len(value)
    if len(members) != len(value):
        raise ValueError(f"{where} has {len(value)} elements, not {len(members)}")
    return tuple(from_fields(member, item, where, extra) for member, item in zip(members, value, strict=True))


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind in (Any, object):
        return value
    if kind is float and isinstance(value, dict) and value.get(_FLOAT) in _NOT_FINITE:
        return _NOT_FINITE[value[_FLOAT]]
    # A bool is an int to isinstance, and an int will do for a float.
    fits = type(value) in (int, float) if kind is float else type(value) is kind
    if not fits:
        raise ValueError(f"{where} is {value!r}, not {kind.__name__}")
    return value


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
