from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lascompile import workload as workloads
from lascompile.records.fields import from_fields, to_fields
from lascompile.workload import ActiveWorkload, ConvWorkload, DilateWorkload, Epilogue, WindowShape, Workload

KINDS = [kind for kind in vars(workloads).values() if isinstance(kind, type) and issubclass(kind, Workload)]
KINDS.remove(Workload)

PARAMETERS = st.text(max_size=5) | st.floats(allow_nan=False)
ACTIVATIONS = st.lists(st.lists(PARAMETERS, max_size=3).map(tuple), max_size=3).map(tuple)
EPILOGUES = st.builds(Epilogue, ACTIVATIONS, st.integers(0, 4), st.booleans(), st.booleans(), ACTIVATIONS)
# NaN, which hypothesis would try otherwise, is equal to nothing.
st.register_type_strategy(Epilogue, EPILOGUES)


@dataclass(frozen=True)
class LaterWorkload(Workload):
    """As another version of lascompile might add it."""

    tile: int
    window: WindowShape
    scale: float | None = None

    def name(self) -> str:
        return "later"


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(to_fields(value), allow_nan=False))


@given(data=st.data())
@pytest.mark.parametrize("kind", KINDS)
def test_any_workload_comes_back_with_the_same_key(kind, data):
    sizes = {field.name: st.integers(1, 10**6) for field in fields(kind) if field.type == "int"}
    workload = data.draw(st.builds(kind, **sizes))
    found = from_fields(Workload, through_json(workload))
    assert found == workload
    assert (type(found), repr(found), found.key()) == (kind, repr(workload), workload.key())


@pytest.mark.parametrize(
    "epilogue",
    [
        Epilogue(before=(("clip", 0.0, 6.0), ("relu",)), gate_groups=2, otherwise=True, add=True, after=(("relu",),)),
        Epilogue(before=(("clip", float("-inf"), float("inf")), ("leaky_relu", -0.0))),
        Epilogue(before=(("clip", 0, 6),)),  # integers stay integers: the key tells them apart
    ],
)
def test_an_epilogue_comes_back(epilogue):
    workload = ConvWorkload(4, 4, 1, 1, 8, 8, False, False, False, epilogue=epilogue)
    assert repr(from_fields(Workload, through_json(workload))) == repr(workload)


def test_a_workload_is_stored_by_name_key_and_fields():
    window = WindowShape(1, (3, 3), (1, 1), (1, 1), (1, 1), (8, 8), (8, 8))
    stored = to_fields(DilateWorkload(window))
    assert (stored["type"], stored["key"]) == ("DilateWorkload", DilateWorkload(window).key())
    assert stored["fields"]["window"]["kernel"] == [3, 3]


def test_a_workload_that_is_added_later_needs_nothing_more():
    workload = LaterWorkload(4, WindowShape(1, (3, 3), (1, 1), (1, 1), (1, 1), (8, 8), (8, 8)), 0.5)
    assert from_fields(Workload, through_json(workload)) == workload


def test_a_field_that_was_added_since_gets_its_default():
    stored = through_json(ConvWorkload(4, 4, 1, 1, 8, 8, False, False, False))
    for name in ("epilogue", "in_place", "residual_listed"):
        del stored["fields"][name]
    assert from_fields(Workload, stored) == ConvWorkload(4, 4, 1, 1, 8, 8, False, False, False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "FutureWorkload"}, "workload.type 'FutureWorkload' is not known"),
        ({"fields": {"elements": 1}}, "ActiveWorkload.dtype is missing"),
        ({"fields": None}, "ActiveWorkload is no object"),
        ({"rows": "4"}, "ActiveWorkload.rows is '4', not int"),
        ({"rows": True}, "ActiveWorkload.rows is True, not int"),
        ({"rows": 1.0}, "ActiveWorkload.rows is 1.0, not int"),
        ({"inverted": 1}, "ActiveWorkload.inverted is 1, not bool"),
        ({"padding": 1}, "ActiveWorkload.padding is not known"),
    ],
)
def test_a_workload_that_does_not_fit_is_refused(change, message):
    stored = through_json(ActiveWorkload(4, "bool", 1, 4, False))
    for name, value in change.items():
        (stored if name in stored else stored["fields"])[name] = value
    with pytest.raises(ValueError) as caught:
        from_fields(Workload, stored, "workload", extra=True)
    assert str(caught.value) == message


@dataclass(frozen=True)
class Kept:
    pair: tuple[int, int]
    share: float
    names: tuple[str, ...] = ()
    maybe: int | None = None
    free: Any = None
    mapping: Mapping[str, Any] | None = None


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ([], "Kept is no object"),
        ({"pair": [1, 2, 3], "share": 1.0}, "pair has 3 elements, not 2"),
        ({"pair": 3, "share": 1.0}, "pair is no list"),
        ({"pair": [1, 2.5], "share": 1.0}, "pair is 2.5, not int"),
        ({"pair": [1, 2], "share": {"float": "one"}}, "share is {'float': 'one'}, not float"),
        ({"pair": [1, 2], "share": "1"}, "share is '1', not float"),
        ({"pair": [1, 2], "share": 1, "maybe": "x"}, "maybe is 'x', not NoneType"),
        ({"pair": [1, 2], "share": 1, "mapping": []}, "mapping is [], not NoneType"),
        ({"pair": [1, 2], "share": 1, "other": 1}, "other is not known"),
    ],
)
def test_other_dataclasses_are_checked_too(stored, message):
    with pytest.raises(ValueError) as caught:
        from_fields(Kept, stored)
    assert str(caught.value) == message


def test_other_dataclasses_come_back():
    kept = Kept((1, 2), float("inf"), ("a",), 3, {"x": [1, None]}, {"tile": 4})
    assert from_fields(Kept, through_json(kept)) == kept
    assert from_fields(Kept, {"pair": [1, 2], "share": 1, "other": 1}, extra=True) == Kept((1, 2), 1)


@pytest.mark.parametrize("value", [np.float64(1.5), np.int64(3), {1, 2}, b"x", np.zeros(2)])
def test_what_would_come_back_as_something_else_is_refused(value):
    with pytest.raises(TypeError) as caught:
        to_fields({"decision": value})
    assert str(caught.value) == f"a {type(value).__name__} cannot be stored"
