"""How far NaN may spread: by exact arithmetic, and by fast algorithms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from lascompile.verify import verify
from lascompile.verify.nan_bounds import fewest_nans, most_nans, reaches
from tests.differential.algorithms import FAST, forced, possible
from tests.differential.harness import compiled, session_of
from tests.differential.networks import Net

SIZE = 12
SHAPE = (1, 4, SIZE, SIZE)


def convolution() -> onnx.ModelProto:
    """One 3x3 convolution of a map, and nothing else."""
    net = Net()
    return net.network(net.conv("x", 4, 4, 3, "conv"), inputs=[("x", onnx.TensorProto.FLOAT, SHAPE)])


def poisoned(number: float, y: int = 5, x: int = 6) -> np.ndarray:
    array = np.random.default_rng(0).standard_normal(SHAPE, np.float32)
    array[0, 1, y, x] = number
    return array


def nan_places(model: ir.Model, x: np.ndarray) -> np.ndarray:
    """Where any channel of the output is NaN."""
    (output,) = session_of(ir.to_proto(model)).run(None, {"x": x})
    return np.isnan(output).any((0, 1))


def square(reach: int, y: int = 5, x: int = 6) -> np.ndarray:
    rows, columns = np.ogrid[:SIZE, :SIZE]
    return (abs(rows - y) <= reach + 1) & (abs(columns - x) <= reach + 1)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("reach", [0, 1, 3])
def test_what_is_not_finite_spreads_as_far_as_an_algorithm_reaches(reach: int, number: float) -> None:
    model = ir.from_proto(convolution())
    spoilt = most_nans(model, {"conv": reach})
    np.testing.assert_array_equal(nan_places(spoilt, poisoned(number)), square(reach))
    assert not nan_places(spoilt, poisoned(1.0)).any()


def test_exact_numerics_spread_a_nan_over_its_window_and_keep_infinities() -> None:
    model = ir.from_proto(convolution())
    for bound in (most_nans(model), most_nans(model, {"another": 3}), fewest_nans(model)):
        np.testing.assert_array_equal(nan_places(bound, poisoned(np.nan)), square(0))
        assert not nan_places(bound, poisoned(np.inf)).any()


@pytest.mark.parametrize("algorithm", [*FAST, "direct"])
def test_artifacts_stay_within_the_bounds(algorithm: str, tmp_path: Path) -> None:
    """Wherever in a tile the number stands: NaN in the window is never lost, and nothing beyond the reach is spoilt."""
    model = convolution()
    if not possible(algorithm):
        pytest.skip("not on this CPU")
    with forced(algorithm):
        built = compiled(model, tmp_path)
    fast = reaches(built.artifact.manifest.steps, "llvm")
    assert fast == {"direct": {}, "bf16x3": {"conv": 0}, "winograd2": {"conv": 1}, "winograd4": {"conv": 3}}[algorithm]
    network = ir.from_proto(model)
    most, fewest = most_nans(network, fast), fewest_nans(network)
    for number in (np.nan, np.inf):
        for place in ((0, 0), (3, 4), (5, 7), (6, 2), (11, 11)):
            x = poisoned(number, *place)
            got = np.isnan(built.artifact.run(x)[0]).any((0, 1))
            assert not (got & ~nan_places(most, x)).any(), f"NaN beyond the reach of {place}"
            assert not (nan_places(fewest, x) & ~got).any(), f"the NaN at {place} was lost"


@pytest.mark.parametrize("algorithm", [*FAST, "direct"])
def test_masked_networks_are_verified_whatever_computes_them(algorithm: str, tmp_path: Path) -> None:
    """`verify` poisons an input pixel of each image; a mask behind it has to be decided alike nevertheless."""
    if not possible(algorithm):
        pytest.skip("not on this CPU")
    net = Net()
    stem = net.stem()
    model = net.network(net.masked_block(stem, 8, "block", net.mask(stem, 8, "mask")))
    with forced(algorithm):
        built = compiled(model, tmp_path)
    report = verify(built.artifact, tmp_path / "model.onnx")
    assert report.failures() == []
    assert any(case.kind == "nan" for case in report.cases)
