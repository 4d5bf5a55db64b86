"""The kernels that prediction lists for a block are those that a build makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from lascompile.frontend.load import load_model
from lascompile.frontend.simplify import simplify
from lascompile.latency.block_kernels import block_kernels, list_kernels
from lascompile.latency.network import block_shapes
from lascompile.lower.kernels import ScheduledKernel, Scheduler
from lascompile.lower.lower import analyse, lower
from lascompile.models import create_model, export
from lascompile.models.architectures import configure
from lascompile.target import parse_target
from lascompile.workload import ConvWorkload, Form, LayoutWorkload, WinogradWorkload, Workload

SIZE = 64
TARGET = parse_target("llvm -mcpu=skylake-avx512 -mtriple=x86_64-linux-gnu")
NETWORKS = (("lasnet_resnet_tiny", (4, 2, 2, 1)), ("resnet_tiny", None), ("lasnet_resnet18", (4, 4, 2, 1)))


def _lowered(path: Path) -> list[Workload]:
    """The workloads of a network, in the order of its steps."""
    graph = simplify(load_model(path, None)).graph
    program = lower(graph, analyse(graph), Scheduler(TARGET, 1))
    return [step.kernel.workload for step in program.steps if isinstance(step.kernel, ScheduledKernel)]


def _listed(arch: str, granularity: tuple[int, ...] | None, made: Iterable[Workload]) -> Counter[Workload]:
    """The kernels of all blocks; of a convolution with several forms the one that was made."""
    chosen = set(made)
    found: Counter[Workload] = Counter()
    for shape in block_shapes(configure(arch, granularity=granularity, input_size=SIZE)):
        forms = {
            kernel.name: next((form for form in kernel.forms if form in chosen), kernel.forms[0])
            for kernel in block_kernels(shape)
        }
        found.update(forms.values())
        found.update(kernel.forms[0] for kernel in list_kernels(shape, forms))
    return found


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("blocks")
    paths = {}
    for arch, granularity in NETWORKS:
        paths[arch] = folder / f"{arch}.onnx"
        export(create_model(arch, granularity=granularity, input_size=SIZE), paths[arch], input_size=SIZE)
    return paths


@pytest.mark.parametrize(("arch", "granularity"), NETWORKS)
def test_they_are_those_of_a_build(
    models: dict[str, Path], arch: str, granularity: tuple[int, ...] | None
) -> None:
    made = _lowered(models[arch])
    inside = Counter(made[3:-3])  # without layout, convolution and pooling of the stem, and mean, product and layout
    listed = _listed(arch, granularity, made)
    # A masker's logits are brought into the layout of the comparison, which TVM's own code computes.
    other = inside - listed
    assert all(isinstance(workload, LayoutWorkload) for workload in other), other
    assert not listed - inside
    assert any(isinstance(workload, Form) for workload in listed)


def test_every_form_of_a_convolution_is_listed() -> None:
    [shape, *_] = block_shapes(configure("lasnet_resnet50", input_size=224))
    forms = {kernel.name: kernel.forms for kernel in block_kernels(shape)}
    assert [type(form) for form in forms["conv2"]] == [ConvWorkload, WinogradWorkload, WinogradWorkload]
    assert [form.m for form in forms["conv2"] if isinstance(form, WinogradWorkload)] == [2, 4]
    assert [form.tiles for form in forms["conv2"] if isinstance(form, WinogradWorkload)] == [784, 196]
    assert len(forms["conv1"]) == len(forms["conv3"]) == 1
