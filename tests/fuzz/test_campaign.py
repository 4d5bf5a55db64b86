"""Damaged files of every kind: a refusal in one line, never a crash, a stack or a wrong answer."""

from __future__ import annotations

import os
import random

import pytest

from lascompile.errors import UsageError
from tests.fuzz.campaign import run
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import TARGETS, Target

_SEED = b'{"one": 1, "two": [2, 3]}' * 20


@pytest.mark.parametrize("name", TARGETS)
def test_a_few_damages_of_each_kind(name):
    done, findings = run(TARGETS[name], 100, seconds=60)
    assert done >= 50
    assert findings == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["manifest", "constants", "library"])
def test_many_damages_of_an_artifact(name):
    done, findings = run(TARGETS[name], 2000, seconds=300)
    assert done >= 1000
    assert findings == []


def bad(what):
    def read(path):
        content = path.read_bytes()
        if content[:1] != _SEED[:1] or len(content) != len(_SEED):
            if what == "a crash":
                os.abort()
            raise {"an internal error": KeyError("x"), "lines": UsageError("a\nb")}[what]

    return read


@pytest.mark.parametrize("what", ["a crash", "an internal error", "lines"])
def test_what_is_found(what):
    def make(folder):
        (folder / "f").write_bytes(_SEED)
        return folder / "f"

    done, findings = run(Target("bad", make, bad(what)), 50, 30)
    assert done == 50
    assert findings
    assert findings[0].content == mutate(_SEED, random.Random(findings[0].number))


def test_damages_differ_and_can_be_made_again():
    made = [mutate(_SEED, random.Random(number)) for number in range(200)]
    assert made == [mutate(_SEED, random.Random(number)) for number in range(200)]
    assert len(set(made)) > 150
