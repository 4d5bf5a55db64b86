"""The same networks by every algorithm: exact and fast numerics as chosen, and each fast algorithm wherever it may run.

Which algorithm a build chooses depends on the CPU, so that each is forced here. By default every network meets one of
them or two, and `make test-slow` takes the whole product.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from lascompile.cpu import cpu_supports, processor
from lascompile.schedules.numerics import Numerics
from tests.analysis.networks import Form, masked_network, random_input
from tests.differential.algorithms import FAST, forced, possible
from tests.differential.forms import forms
from tests.differential.graphs import graphs
from tests.differential.harness import Compiled, compiled
from tests.differential.networks import Net, random_inputs

WINOGRAD = ("winograd2", "winograd4")
WITHOUT_SHRINKING = (Phase.explicit, Phase.generate)
HAS_AVX2 = processor() == "x86_64" and not cpu_supports(["avx2", "fma"])

FORMS = {
    "S = 1": Form(size=(8, 8), cells=(8, 8), block="basic"),
    "S = 2": Form(size=(12, 10), cells=(6, 5), blocks=2, batch=2),
    "S = 3": Form(size=(9, 12), cells=(3, 4), block="basic", gate="where", blocks=2),
    "S = 4": Form(size=(12, 16), cells=(3, 4), block="basic", batch=3, blocks=2),
    "S = 5": Form(size=(10, 15), cells=(2, 3), mask_groups=2, batch=2),
    "S = 7": Form(size=(14, 7), cells=(2, 1), block="single", gate="where", channels=12),
    "S = 8": Form(size=(8, 16), cells=(1, 2), block="basic", mask_groups=4, batch=2),
    "layer skipping": Form(size=(9, 9), cells=(1, 1), block="basic", batch=3),
    "uneven": Form(size=(13, 10), cells=(3, 4), block="basic", channels=24, batch=2, blocks=2),
    "uneven, mask groups": Form(size=(14, 7), cells=(4, 3), block="single", gate="where", mask_groups=4),
}


def padded() -> onnx.ModelProto:
    """Dense 3x3 convolutions: no padding, twice as much as usual, and more on one side; sizes 9x11 to 11x13."""
    net, y = Net(), "x"
    for number, pads in enumerate([(2, 2, 2, 2), (0, 0, 0, 0), (1, 0, 0, 1), (0, 2, 1, 0)]):
        shape = (5, 3 if number == 0 else 5, 3, 3)
        weight = net.constant(net.rng.standard_normal(shape).astype("float32") / 5)
        y = net.relu(net.add("Conv", y, weight, name=f"conv{number}", pads=list(pads), kernel_shape=[3, 3]))
    return net.network(y, inputs=[("x", onnx.TensorProto.FLOAT, (2, 3, 9, 11))])


def dense() -> onnx.ModelProto:
    """Residual blocks without masks, a residual in place."""
    net = Net()
    y = net.stem()
    for number in range(2):
        branch = net.conv(net.relu(net.conv(y, 8, 8, 3, f"a{number}")), 8, 8, 3, f"b{number}")
        y = net.relu(net.add("Add", y, branch))
    return net.network(y)


def unions() -> onnx.ModelProto:
    """Maps that two masks of different patches read, at their own pixels: they are computed where either is on."""
    net = Net()
    x = net.stem()
    coarse, fine = net.mask(x, 8, "coarse", patch=4), net.mask(x, 8, "fine", patch=2)
    shared = net.relu(net.conv(net.relu(net.conv(x, 8, 8, 3, "first")), 8, 8, 3, "second"))
    one = net.add("Mul", net.conv(shared, 8, 8, 3, "one"), coarse)
    other = net.add("Mul", net.conv(shared, 8, 8, 3, "other"), fine)
    return net.network(net.relu(net.add("Add", net.relu(net.add("Add", x, one)), other)))


def kept() -> onnx.ModelProto:
    """BasicBlocks whose residual is an output as well, so that it cannot be overwritten."""
    net = Net()
    x = net.stem()
    mask = net.mask(x, 8, "mask", patch=2)
    branch = net.conv(net.relu(net.conv(x, 8, 8, 3, "conv1")), 8, 8, 3, "conv2")
    return net.network(x, net.relu(net.add("Add", x, net.add("Mul", branch, mask))))


GRAPHS = {"padded": padded, "dense": dense, "unions": unions, "kept": kept}
NETWORKS = [*FORMS, *GRAPHS]


@dataclass(frozen=True)
class Case:
    """A network by name, and the algorithm to force."""

    network: str
    algorithm: str

    def __str__(self) -> str:
        return f"{self.network}, {self.algorithm}"


def model_of(network: str) -> onnx.ModelProto:
    return masked_network(FORMS[network]) if network in FORMS else GRAPHS[network]()


def check(model: onnx.ModelProto, folder: Path, algorithm: str, **options: Any) -> Compiled:
    """Build it with `algorithm` wherever that may run, and compare."""
    if not possible(algorithm):
        pytest.skip(f"this CPU has no {algorithm}")
    with forced(algorithm) as taken:
        built = compiled(model, folder, **options)
    by_node = {step.node: step.algorithm for step in built.artifact.manifest.steps if step.algorithm}
    assert {node for node, name in by_node.items() if name == algorithm} == {*taken}
    built.check(*random_inputs(model))
    return built


def check_case(case: Case, folder: Path, **options: Any) -> None:
    built = check(model_of(case.network), folder, case.algorithm, **options)
    assert case.algorithm in {step.algorithm for step in built.artifact.manifest.steps}
    if case.network in FORMS:
        built.check_skips(random_input(FORMS[case.network]))


PRODUCT = [Case(*pair) for pair in product(NETWORKS, FAST)]
COVERING = [
    *(Case(*pair) for pair in zip(NETWORKS, cycle(WINOGRAD), strict=False)),
    *(Case(network, "winograd4") for network in ("S = 1", "S = 3", "S = 5")),
    *(Case(network, "winograd2") for network in ("S = 4", "uneven, mask groups")),
    *(Case(network, "bf16x3") for network in ("S = 4", "uneven", "unions")),
]


@pytest.mark.parametrize("case", COVERING, ids=str)
def test_each_algorithm(case: Case, tmp_path: Path) -> None:
    check_case(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in PRODUCT if case not in COVERING], ids=str)
def test_the_rest_of_the_product(case: Case, tmp_path: Path) -> None:
    check_case(case, tmp_path)


@pytest.mark.parametrize("network", ["S = 2", "uneven", "dense"])
def test_exact_numerics_take_the_direct_algorithm_alone(network: str, tmp_path: Path) -> None:
    model = model_of(network)
    built = compiled(model, tmp_path, numerics=Numerics.EXACT.value)
    assert {step.algorithm for step in built.artifact.manifest.steps} == {None, "direct"}
    for step in built.artifact.manifest.steps:
        assert [candidate["algorithm"] for candidate in step.candidates] in ([], ["direct"])
    built.check(*random_inputs(model))


@pytest.mark.skipif(not HAS_AVX2, reason="no AVX2 here")
@pytest.mark.parametrize("case", [Case("S = 4", "winograd4"), Case("S = 3", "winograd2")], ids=str)
def test_narrower_vectors(case: Case, tmp_path: Path) -> None:
    check_case(case, tmp_path, mcpu="haswell")


@pytest.mark.skipif(not HAS_AVX2, reason="no AVX2 here")
@pytest.mark.parametrize("network", ["S = 4", "padded"])
def test_as_chosen_without_a_tile_unit(network: str, tmp_path: Path) -> None:
    model = model_of(network)
    built = compiled(model, tmp_path, mcpu="haswell")
    assert "bf16x3" not in {step.algorithm for step in built.artifact.manifest.steps}
    built.check(*random_inputs(model))


def test_active_pixels_are_counted_in_tiles(tmp_path: Path) -> None:
    """A patch of four by four is one tile of F(4x4, 3x3), or four of F(2x2, 3x3)."""
    form = Form(size=(12, 16), cells=(3, 4))
    for algorithm, tiles in (("winograd4", 12), ("winograd2", 48)):
        with forced(algorithm):
            artifact = compiled(masked_network(form), tmp_path).artifact
        (step,) = [step for step in artifact.manifest.steps if step.node == "layer1.0.conv2" and step.rows]
        (mask,) = artifact.manifest.masks
        decision = np.arange(12).reshape(mask.shape) % 3 == 0
        artifact.run_forced(random_input(form), masks={mask.name: decision})
        assert step.rows == tiles and step.count is not None
        assert artifact._workspace_arrays[step.count].tolist() == [tiles / 3]


def in_folder(model: onnx.ModelProto, algorithm: str) -> None:
    with TemporaryDirectory() as folder:
        check(model, Path(folder), algorithm)


@settings(max_examples=4, derandomize=True, phases=WITHOUT_SHRINKING)
@given(graphs(), st.sampled_from(WINOGRAD))
def test_some_graphs(model: onnx.ModelProto, algorithm: str) -> None:
    in_folder(model, algorithm)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", FAST)
@settings(max_examples=100, derandomize=True, phases=WITHOUT_SHRINKING)
@given(graphs())
def test_many_graphs(algorithm: str, model: onnx.ModelProto) -> None:
    in_folder(model, algorithm)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", FAST)
@settings(max_examples=100, derandomize=True, phases=WITHOUT_SHRINKING)
@given(forms())
def test_many_of_the_family(algorithm: str, form: Form) -> None:
    in_folder(masked_network(form), algorithm)
