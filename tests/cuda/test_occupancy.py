"""Occupancy is that of NVIDIA's own header, for every capability and random kernels."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from lascompile.cuda.nvrtc import package_folder
from lascompile.cuda.occupancy import occupancy
from lascompile.cuda.ptxas import Resources
from lascompile.cuda.source import Launch
from lascompile.target import CudaTarget

pytest.importorskip("cuda.bindings", reason="the extra 'cuda' is not installed")
ARCHS = ("sm_62", "sm_70", "sm_72", "sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90")


@pytest.fixture(scope="module")
def header(tmp_path_factory) -> Path:
    """A program that asks NVIDIA's header."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++")
    program = tmp_path_factory.mktemp("occupancy") / "occupancy"
    include = package_folder("cuda_runtime") / "include"
    source = Path(__file__).with_name("occupancy.cpp")
    subprocess.run([compiler, "-w", f"-I{include}", str(source), "-o", str(program)], check=True)
    return program


def case(generator: random.Random, arch: str) -> tuple[CudaTarget, Launch, Resources]:
    target = CudaTarget(arch)
    block = generator.choice((32, 64, 96, 128, 192, 256, 384, 512, 1024))
    dynamic = generator.choice((0, 0, generator.randrange(0, 120 << 10)))
    registers = generator.randrange(16, 256)
    fixed = generator.choice((0, generator.randrange(0, 48 << 10)))
    return target, Launch("k", (), (1, 1, 1), (block, 1, 1), dynamic), Resources(registers, fixed, 0, 0, 0)


def line(target: CudaTarget, launch: Launch, resources: Resources) -> str:
    limits = target.limits
    device = (limits.registers, limits.shared_bytes, limits.block_shared_bytes, limits.block_registers, limits.threads)
    kernel = (resources.registers, resources.shared_bytes, launch.dynamic_shared_bytes, launch.threads)
    return " ".join(map(str, (target.capability, *device, limits.reserved_shared_bytes, *kernel)))


def test_as_the_header_has_it(header):
    generator = random.Random(0)
    cases = [case(generator, arch) for arch in ARCHS for _ in range(200)]
    lines = "\n".join(line(*each) for each in cases)
    told = subprocess.run([str(header)], input=lines, capture_output=True, text=True, check=True).stdout.split()
    found = [occupancy(launch, resources, target) for target, launch, resources in cases]
    differing = [
        (line(*each), ours.blocks, theirs)
        for each, ours, theirs in zip(cases, found, told, strict=True)
        if ours.blocks != int(theirs)
    ]
    assert differing == []
    assert {each.limited_by for each in found} >= {"registers", "shared memory", "threads"}
    assert any(each.blocks == 0 for each in found)


def test_the_share_is_of_the_threads_that_fit():
    found = occupancy(Launch("k", (), (1, 1, 1), (256, 1, 1), 0), Resources(64, 0, 0, 0, 0), CudaTarget("sm_86"))
    assert (found.blocks, found.share, found.limited_by) == (4, pytest.approx(1024 / 1536), "registers")
