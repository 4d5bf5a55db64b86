"""Artifacts for Arm CPUs, run under emulation, against onnxruntime: freely, and under every kind of mask.

The schedules of all Arm CPUs are one; what LLVM makes of them is not.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import pytest

from lascompile.compile import build_artifact
from lascompile.errors import DeviceError, UsageError
from lascompile.models import ResNet, ResNetConfig, export, natural_images, prepare
from lascompile.models.initialize import initialize
from lascompile.runtime.artifact import Artifact
from tests.aarch64.emulator import EmulatedArtifact, EmulationError, run_emulated
from tests.aarch64.machine import Unavailable
from tests.aarch64.machine import prepare as prepare_machine
from tests.analysis.networks import Form, masked_network, random_input
from tests.differential.algorithms import forced
from tests.differential.forms import covering
from tests.differential.harness import Compiled, assert_close, session_of

pytestmark = pytest.mark.neon

CPUS = (
    "cortex-a57",  # Jetson TX2
    "cortex-a72",  # Raspberry Pi 4
    "carmel",  # Jetson Xavier
    "cortex-a78ae",  # Jetson Orin
)
FORM = Form(batch=2, mask_groups=2, conv_groups=2, size=(9, 12), blocks=2)

LASNET = ResNetConfig(
    "bottleneck", depths=(1, 2), widths=(8, 12), granularity=(4, 2), input_size=(48, 48), stem_width=8, num_classes=5
)
LASNETS = {
    "patches": LASNET,
    "pixels, mask groups": replace(LASNET, granularity=(1, 1), mask_channel_group=2),
    "layer skipping, groups": replace(LASNET, granularity=(12, 6), groups=4),
    "basic": replace(LASNET, block="basic", widths=(16, 24), granularity=(8, 4), input_size=(64, 96)),
    "wide": replace(LASNET, widths=(40, 72), stem_width=24),
}


@pytest.fixture(scope="module", autouse=True)
def emulation() -> None:
    try:
        prepare_machine()
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an artifact for the newest of the CPUs, beside its model."""
    return built(masked_network(FORM), tmp_path_factory.mktemp("small"), "cortex-a78ae")


def built(model: onnx.ModelProto, folder: Path, cpu: str) -> Path:
    onnx.save(model, folder / "model.onnx")
    return build_artifact(folder / "model.onnx", target="llvm -mtriple=aarch64-linux-gnu", mcpu=cpu, threads=2)


def check(model: onnx.ModelProto, folder: Path, cpu: str, *inputs: np.ndarray) -> None:
    path = built(model, folder, cpu)
    with EmulatedArtifact(path) as artifact:
        Compiled(model, cast(Artifact, artifact)).check(*inputs)


@pytest.fixture(scope="module", params=LASNETS)
def lasnet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """A network with random weights, whose maskers are fitted to switch on half of the patches."""
    config = LASNETS[request.param]
    model = ResNet(config)
    initialize(model, seed=0)
    model.eval()
    prepare(model, natural_images(6, config.input_size, seed=3), activation_rate=0.5)
    path = tmp_path_factory.mktemp("lasnet") / "lasnet.onnx"
    return onnx.load(export(model, path, config.input_size, batch=2, exporter="torchscript"))


@pytest.mark.parametrize("cpu", CPUS)
def test_lasnets(lasnet: onnx.ModelProto, cpu: str, tmp_path: Path) -> None:
    height, width = (dim.dim_value for dim in lasnet.graph.input[0].type.tensor_type.shape.dim[2:])
    check(lasnet, tmp_path, cpu, natural_images(2, (height, width), seed=1))


@pytest.mark.parametrize(("form", "cpu"), list(zip(covering(), cycle(CPUS), strict=False)))
def test_the_family_of_masked_networks(form: Form, cpu: str, tmp_path: Path) -> None:
    check(masked_network(form), tmp_path, cpu, random_input(form))


@pytest.mark.parametrize(("algorithm", "cpu"), [("winograd2", "cortex-a57"), ("winograd4", "cortex-a78ae")])
def test_winograd(algorithm: str, cpu: str, tmp_path: Path) -> None:
    """Dense in the stem, gathered and scattered in place in a BasicBlock of patches that tiles do not divide."""
    form = Form(block="basic", size=(9, 15), cells=(3, 3), batch=2, blocks=2)
    with forced(algorithm) as taken:
        check(masked_network(form), tmp_path, cpu, random_input(form))
    assert taken == ["stem", *(f"layer1.{block}.conv{conv}" for block in (0, 1) for conv in (1, 2))]


def test_run_emulated(small: Path) -> None:
    """Without masks, and under such as the network takes by itself."""
    x = random_input(FORM)
    model = onnx.load(small.with_suffix(".onnx"))
    expected = session_of(model).run(None, {model.graph.input[0].name: x})
    with EmulatedArtifact(small) as artifact:
        _, masks = artifact.run_with_masks(x)
    assert masks
    names = [value.name for value in model.graph.output]
    assert_close(run_emulated(small, [x]), expected, names)
    assert_close(run_emulated(small, [x], masks), expected, names)


def test_the_profile_counts_the_steps(small: Path) -> None:
    with EmulatedArtifact(small) as artifact:
        profile = artifact.profile(random_input(FORM), repeats=1)
    assert [entry.step for entry in profile.steps] == list(artifact.manifest.steps)


def test_a_cpu_that_lacks_instructions_is_refused(small: Path) -> None:
    with pytest.raises(DeviceError, match="this CPU lacks dotprod, fullfp16, lse"):
        EmulatedArtifact(small, cpu="cortex-a57")


def test_errors_arise_here_and_leave_the_artifact_usable(small: Path) -> None:
    x = random_input(FORM)
    with EmulatedArtifact(small) as artifact:
        with pytest.raises(UsageError, match="the model takes 1 inputs"):
            artifact.run()
        assert artifact.run(x)


def test_the_end_of_the_process_is_told(small: Path) -> None:
    with pytest.raises(EmulationError, match="unable to find CPU model 'nonsense'"):
        EmulatedArtifact(small, cpu="nonsense")
