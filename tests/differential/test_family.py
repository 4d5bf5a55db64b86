"""Networks of the whole family against onnxruntime: freely, and under every kind of mask.

Each build takes about a second, so that few are made by default and many by `make test-slow`.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import Phase, given, settings

from tests.analysis.networks import DECISIONS, GATES, UPSAMPLINGS, Form, masked_network, random_input
from tests.differential.forms import BLOCKS, SIZES, covering, forms
from tests.differential.harness import compiled

# Forms are small enough to look at as they are, and each attempt to shrink one would be another build.
WITHOUT_SHRINKING = (Phase.explicit, Phase.generate)


def check(form: Form) -> None:
    with TemporaryDirectory() as folder:
        built = compiled(masked_network(form), Path(folder))
        built.check(random_input(form), seed=form.seed)
        built.check_skips(random_input(form))
        for block in built.artifact.manifest.blocks:
            assert block["dynamic"] or block["reason"], f"{block['name']} is dense in silence"


def name_of(form: Form) -> str:
    return f"{form.decision}-{form.upsampling}-{form.gate}-{form.block}"


@pytest.mark.parametrize("form", covering(), ids=name_of)
def test_every_way_once(form: Form) -> None:
    check(form)


def test_every_way_is_among_them() -> None:
    made = covering()
    assert {form.decision for form in made} == {*DECISIONS}
    assert {form.upsampling for form in made} == {*UPSAMPLINGS}
    assert {form.gate for form in made} == {*GATES}
    assert {form.block for form in made} == {*BLOCKS}
    assert {form.size for form in made} == {*SIZES}
    assert {form.mask_groups for form in made} >= {1, 2, 4}
    assert {form.batch for form in made} == {1, 2, 3}
    assert {form.stride for form in made} == {form.dilation for form in made} == {1, 2}
    assert any(form.cells == (1, 1) for form in made), "layer skipping"


@settings(max_examples=15, derandomize=True, phases=WITHOUT_SHRINKING)
@given(forms())
def test_some_of_the_family(form: Form) -> None:
    check(form)


@pytest.mark.slow
@settings(max_examples=400, derandomize=True, phases=WITHOUT_SHRINKING)
@given(forms())
def test_many_of_the_family(form: Form) -> None:
    check(form)
